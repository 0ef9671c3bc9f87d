// For pages that work without it: buttons are off while a form's request runs, and copy buttons.

// Without script the form's one-time token does the same job: a second request is answered like the first.
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

// Copies the text of the element that a button's data-copy names. Without script the button stays hidden.
for (const button of document.querySelectorAll("[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  const note = document.querySelector("[data-copied]");
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
      note.textContent = button.dataset.done;
    } catch {
      getSelection().selectAllChildren(source);
      note.textContent = button.dataset.select;
    }
  });
}
