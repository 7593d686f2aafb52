// Tar archives (POSIX ustar) in memory: file uploads into a container and build contexts. Own code, because the client's packer
// keeps owners and times of the host, which would make two machines build two images.

export interface Entry {
  /** Without a leading slash; a folder's ends with one. */
  readonly name: string;
  readonly mode: number;
  /** Seconds since 1970. */
  readonly modified: number;
  readonly owner?: number;
  readonly group?: number;
  readonly content:
    | { readonly is: "file"; readonly data: Buffer }
    | { readonly is: "folder" }
    | { readonly is: "link"; readonly to: string };
}

const BLOCK = 512;

/** @throws Error for a name or link target beyond the format's limits (100 bytes, names 255 with their folders) */
export function tar(entries: readonly Entry[]): Buffer {
  const parts: Buffer[] = [];
  for (const entry of entries) {
    parts.push(header(entry));
    if (entry.content.is !== "file") continue;
    parts.push(entry.content.data, Buffer.alloc((BLOCK - (entry.content.data.length % BLOCK)) % BLOCK));
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]);
}

function header(entry: Entry): Buffer {
  const block = Buffer.alloc(BLOCK);
  const { prefix, name } = split(entry.name);
  const octal = (value: number, length: number) => `${value.toString(8).padStart(length - 1, "0")}\0`;
  const target = entry.content.is === "link" ? entry.content.to : "";
  if (Buffer.byteLength(target) > 100) throw new Error(`link target too long for an archive: ${target}`);
  block.write(name, 0);
  block.write(octal(entry.mode & 0o7777, 8), 100);
  block.write(octal(entry.owner ?? 0, 8), 108);
  block.write(octal(entry.group ?? 0, 8), 116);
  block.write(octal(entry.content.is === "file" ? entry.content.data.length : 0, 12), 124);
  block.write(octal(entry.modified, 12), 136);
  block.write(" ".repeat(8), 148);
  block.write({ file: "0", link: "2", folder: "5" }[entry.content.is], 156);
  block.write(target, 157);
  block.write("ustar\u000000", 257, "latin1");
  block.write(prefix, 345);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

/** A name of more than 100 bytes is split at a slash into prefix (155) and name (100). */
function split(name: string): { prefix: string; name: string } {
  if (Buffer.byteLength(name) <= 100) return { prefix: "", name };
  for (let at = name.indexOf("/"); at !== -1; at = name.indexOf("/", at + 1)) {
    const [prefix, rest] = [name.slice(0, at), name.slice(at + 1)];
    if (rest !== "" && Buffer.byteLength(rest) <= 100 && Buffer.byteLength(prefix) <= 155)
      return { prefix, name: rest };
  }
  throw new Error(`file name too long for an archive: ${name}`);
}
