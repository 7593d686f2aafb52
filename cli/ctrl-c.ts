// Ctrl-C in a terminal reaches every process in its foreground: this command, and the program that it waits for.
import { Cancelled } from "./errors.ts";

/**
 * Runs an operation that waits for another program, which Ctrl-C (SIGINT) ends in its own way: this process stays until then,
 * and adds no signal of its own.
 * @param operation is given whether there has been one
 * @throws Cancelled after a Ctrl-C, however the operation has ended
 */
export async function throughCtrlC<T>(operation: (pressed: () => boolean) => Promise<T>, says?: string): Promise<T> {
  let pressed = false;
  // With a listener Node.js goes on, and what would end its child processes (signal-exit, in Pulumi's SDK) holds still.
  const note = (): void => {
    pressed = true;
  };
  process.on("SIGINT", note);
  try {
    const [outcome] = await Promise.allSettled([operation(() => pressed)]);
    if (pressed) throw new Cancelled(says);
    if (outcome.status === "rejected") throw outcome.reason;
    return outcome.value;
  } finally {
    process.off("SIGINT", note);
  }
}
