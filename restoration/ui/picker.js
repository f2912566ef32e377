// Browsers that do not know HEIC (or TIFF, AVIF) give such files no type, and the upload then refuses them as "not an
// image" without asking the server. Here they get the type their ending tells; the server judges by content anyway.
(() => {
  const types = {heic: "image/heic", heif: "image/heif", hif: "image/heif", avif: "image/avif", tif: "image/tiff", tiff: "image/tiff"};
  const endings = Object.keys(types).map((ending) => "." + ending).join(",");
  const typeOf = (file) => file.type || types[file.name.split(".").pop().toLowerCase()] || "";

  function retyped(files) {
    const list = [...files];
    if (list.every((file) => file.type === typeOf(file))) return null;
    const transfer = new DataTransfer();
    for (const file of list) transfer.items.add(new File([file], file.name, {type: typeOf(file)}));
    return transfer;
  }

  document.addEventListener("click", (event) => {
    const input = event.target;
    if (input.matches?.('input[type="file"][accept="image/*"]')) input.accept = "image/*," + endings;
  }, true);

  document.addEventListener("change", (event) => {
    const input = event.target;
    const transfer = input.matches?.('input[type="file"]') && retyped(input.files);
    if (transfer) input.files = transfer.files;
  }, true);

  document.addEventListener("drop", (event) => {
    const transfer = event.dataTransfer && retyped(event.dataTransfer.files);
    if (!transfer) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    event.target.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
  }, true);
})();
