// Plain-text tables for the terminal and for logs: aligned columns, no colours, no dependency on the width.

/** Columns separated by two blanks; the last column is not padded. `right` names columns aligned to the right. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly string[] = [],
): string {
  const all = [head, head.map((title) => "-".repeat(title.length)), ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all
    .map((row, index) =>
      head
        .map((title, column) => {
          const width = widths[column] ?? 0;
          const cell = index === 1 ? "-".repeat(width) : (row[column] ?? "");
          return right.includes(title) ? cell.padStart(width) : cell.padEnd(width);
        })
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
