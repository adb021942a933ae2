/** Plain text tables for people: columns as wide as their widest cell, a rule under the head. */
export const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>) => {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? "").length))
  )
  const line = (cells: ReadonlyArray<string>) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd()
  return [line(head), line(widths.map((width) => "─".repeat(width))), ...rows.map(line)].join("\n")
}

/** Seconds between two timestamps, with one decimal. */
export const between = (from: string | undefined | null, to: string | undefined | null) =>
  from === undefined || from === null || to === undefined || to === null
    ? "–"
    : `${((Date.parse(to) - Date.parse(from)) / 1000).toFixed(1)} s`
