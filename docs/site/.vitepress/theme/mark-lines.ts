/** Marks the lines that the address names, "#L10" or "#L10-L20", and shows the first of them. */
const RANGE = /^#L(\d+)(?:-L(\d+))?$/;

export function markLines(): void {
  for (const line of document.querySelectorAll(".line.marked")) line.classList.remove("marked");
  const [, first, last = first] = RANGE.exec(location.hash) ?? [];
  for (let line = Number(first); line <= Number(last); line++) {
    document.getElementById(`L${line}`)?.classList.add("marked");
  }
  document.getElementById(`L${first}`)?.scrollIntoView({ block: "center" });
}
