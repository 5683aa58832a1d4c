// The address: #/ is the fleet, #/channel/<namespace>/<name> a channel.

/** channelKey is the channel of the address, or none. */
export function channelKey(hash: string): string | undefined {
  const match = /^#\/channel\/([^/]+)\/([^/]+)$/.exec(hash);
  if (!match) return undefined;
  try {
    return `${decodeURIComponent(match[1]!)}/${decodeURIComponent(match[2]!)}`;
  } catch {
    return undefined; // not an address of ours
  }
}

/** channelHash is the address of a channel. */
export function channelHash(key: string): string {
  const [namespace = "", name = ""] = key.split("/", 2);
  return `#/channel/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
}
