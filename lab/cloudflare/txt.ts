// Contents of TXT records: RFC 1035 quoted strings of up to 255 octets each, as Cloudflare answers them. Pure.

const quoted = /"((?:[^"\\]|\\.)*)"/y;
/** An octet in presentation form: itself, `\"`, or `\065`. */
const octet = /\\\d{3}|\\.|[^\\]/gs;

/** The strings of a content without their quotation marks, escapes as they were; undefined where it is malformed. */
function stringsOf(content: string): string[] | undefined {
  const strings: string[] = [];
  for (let at = 0; at < content.length;) {
    quoted.lastIndex = at;
    const match = quoted.exec(content);
    if (match === null) return undefined;
    strings.push(match[1] ?? "");
    at = quoted.lastIndex;
    const gap = /^\s+/.exec(content.slice(at))?.[0].length ?? 0;
    if (gap === 0 && at < content.length) return undefined;
    at += gap;
  }
  return strings;
}

function split(string: string): string[] {
  const octets = string.match(octet) ?? [];
  const parts: string[] = [];
  for (let at = 0; at < octets.length; at += 255) parts.push(octets.slice(at, at + 255).join(""));
  return parts.length === 0 ? [""] : parts;
}

/**
 * The content as the API answers it: text without quotes gets them, a longer string becomes several.
 * @returns undefined where a content that begins with a quotation mark is no list of quoted strings, or not ASCII
 */
export function quoteStrings(content: string): string | undefined {
  if (!/^[\x20-\x7e]*$/.test(content)) return undefined;
  const strings = content.startsWith('"') ? stringsOf(content) : [content.replace(/["\\]/g, "\\$&")];
  return strings
    ?.flatMap(split)
    .map((string) => `"${string}"`)
    .join(" ");
}
