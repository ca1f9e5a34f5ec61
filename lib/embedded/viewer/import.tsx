/** Files of traces: dropped on the page, or chosen. */
import { signal } from "@preact/signals";
import { count } from "./format.ts";

/** What became of the last file. */
const told = signal<{ readonly text: string; readonly isError: boolean } | undefined>(undefined);
const isOver = signal(false);

async function take(files: Iterable<File>): Promise<void> {
  for (const file of files) {
    try {
      const response = await fetch("/api/view/import", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: file,
      });
      const answer = (await response.json()) as {
        error?: string;
        spans?: number;
        logRecords?: number;
        rejectedSpans?: number;
        errorMessage?: string;
      };
      const refused = answer.rejectedSpans
        ? `; ${answer.rejectedSpans} not taken: ${answer.errorMessage}`
        : "";
      told.value = response.ok
        ? {
            text: `${file.name}: ${count(answer.spans ?? 0, "span")}, ${count(answer.logRecords ?? 0, "log record")}${refused}`,
            isError: refused !== "",
          }
        : { text: `${file.name}: ${answer.error ?? response.status}`, isError: true };
    } catch {
      told.value = { text: `${file.name}: the store does not answer`, isError: true };
    }
  }
}

/** Takes what is dropped anywhere on the page. */
export function acceptDrops(): void {
  addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    isOver.value = true;
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) isOver.value = false;
  });
  addEventListener("drop", (event) => {
    isOver.value = false;
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    void take(event.dataTransfer.files);
  });
}

/** A button for those who do not drag. */
export function OpenFile() {
  return (
    <label class="button">
      Open a file
      <input
        type="file"
        class="visually-hidden"
        multiple
        accept=".json,.jsonl,.ndjson,application/json"
        onChange={(event) => {
          const input = event.currentTarget;
          // Emptied, it tells of the same file again.
          if (input.files) void take(input.files).then(() => (input.value = ""));
        }}
      />
    </label>
  );
}

/** What became of the last file, and what may be dropped. */
export function ImportState() {
  return (
    <>
      {isOver.value && <div class="drop">OTLP's JSON, whole or a line each, or Jaeger's</div>}
      {told.value && (
        <p class={told.value.isError ? "toast error" : "toast"} role="status">
          {told.value.text}{" "}
          <button type="button" aria-label="Close" onClick={() => (told.value = undefined)}>
            ×
          </button>
        </p>
      )}
    </>
  );
}
