// Disables the buttons of a form with data-once while its request runs. Without script the form's
// one-time token does the same job: a second request is answered like the first.
for (const form of document.querySelectorAll("form[data-once]")) {
  const buttons = form.querySelectorAll("button");
  form.addEventListener("submit", () => {
    for (const button of buttons) button.disabled = true;
  });
  // Going back shows the page as it was left.
  addEventListener("pageshow", () => {
    for (const button of buttons) button.disabled = false;
  });
}
