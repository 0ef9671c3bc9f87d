// Copies the text of the element that a button's data-copy names. Without script the button stays hidden.
for (const button of document.querySelectorAll("[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  const note = document.querySelector("[data-copied]");
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
      note.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(source);
      note.textContent = "Selected: press Ctrl+C.";
    }
  });
}
