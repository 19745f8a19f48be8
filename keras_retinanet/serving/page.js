// What is dropped anywhere on the page, or pasted, goes the way of a file that was chosen; a
// browser would else leave the page for it.
function handOver(event) {
  const files = (event.dataTransfer ?? event.clipboardData).files;
  const input = document.querySelector(".q-uploader__input");
  event.preventDefault();
  event.stopPropagation();
  if (!files.length || !input) return;
  const first = new DataTransfer();
  first.items.add(files[0]);
  input.files = first.files;
  input.dispatchEvent(new Event("change"));
}
addEventListener("dragover", event => event.preventDefault());
addEventListener("drop", handOver, true);
addEventListener("paste", handOver);
