// What a command prints: results on standard output, for a reader or as JSON; progress on standard error.

export function progress(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** The result of a command: `value` as JSON, or what `render` makes of it. */
export function result(json: boolean, value: unknown, render: () => string): void {
  process.stdout.write(`${json ? JSON.stringify(value, undefined, 2) : render()}\n`);
}
