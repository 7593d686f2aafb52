// Durations in the notation of Go, as Docker's healthchecks are written and as the daemon's answer is stored: "90s" becomes "1m30s".

const UNITS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** Nanoseconds, or undefined when the text is no duration ("5" without a unit, "1 s"). */
export function parseDuration(text: string): number | undefined {
  if (text === "0") return 0;
  if (!/^[+-]?((\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(amount) * (UNITS[unit ?? ""] ?? 0);
  }
  return Math.round(text.startsWith("-") ? -total : total);
}

export function formatDuration(nanoseconds: number): string {
  if (nanoseconds === 0) return "0s";
  const sign = nanoseconds < 0 ? "-" : "";
  const size = Math.abs(nanoseconds);
  for (const unit of ["ns", "µs", "ms"] as const) {
    const next = (UNITS[unit] ?? 1) * 1000;
    if (size < next) return `${sign}${size / (UNITS[unit] ?? 1)}${unit}`;
  }
  const hours = Math.floor(size / 3600e9);
  const minutes = Math.floor((size % 3600e9) / 60e9);
  const seconds = (size % 60e9) / 1e9;
  const head = hours > 0 ? `${hours}h${minutes}m` : minutes > 0 ? `${minutes}m` : "";
  return `${sign}${head}${seconds}s`;
}
