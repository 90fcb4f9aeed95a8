// The little of SDP, ICE and HTTP Link that the WHEP client needs. Pure functions.

/** RTCIceServer list of a Link header (RFC 9725 §4.6: rel="ice-server"). */
export function iceServers(link) {
  const servers = [];
  // One header per server, joined by the browser with ", "; quoted values may hold commas.
  for (const [, url, params] of (link || '').matchAll(/<([^>]*)>((?:\s*;\s*[\w-]+\s*(?:=\s*(?:"(?:\\.|[^"\\])*"|[^\s;,]*))?)*)/g)) {
    const values = {};
    for (const [, key, quoted, plain] of params.matchAll(/;\s*([\w-]+)\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^\s;,]*))/g)) {
      values[key.toLowerCase()] = quoted === undefined ? plain : quoted.replace(/\\(.)/g, '$1');
    }
    if (values.rel !== 'ice-server') continue;
    const server = { urls: url };
    if (values.username !== undefined) {
      server.username = values.username;
      server.credential = values.credential || '';
    }
    servers.push(server);
  }
  return servers;
}

/** The lines of one kind in a description, without `a=`. */
const lines = (sdp, start) => sdp.split(/\r?\n/).filter((line) => line.startsWith(start));

/**
 * An SDP fragment (RFC 8840, RFC 9725 §4.3.1) that carries `candidates` for the bundled
 * section of `offer`; `last` adds end-of-candidates.
 */
export function fragment(offer, candidates, last) {
  const first = (start) => lines(offer, start)[0];
  const body = [first('a=group:BUNDLE'), first('m='), first('a=mid:'), first('a=ice-ufrag:'), first('a=ice-pwd:')]
    .filter(Boolean)
    .concat(candidates.map((candidate) => `a=${candidate}`));
  if (last) body.push('a=end-of-candidates');
  return body.join('\r\n') + '\r\n';
}

/** Where an answer tells us to go: [{address, port, protocol, type}], each address once. */
export function addresses(answer) {
  const seen = new Map();
  for (const line of lines(answer, 'a=candidate:')) {
    const [, , protocol, , address, port, , type] = line.split(' ');
    const key = `${protocol} ${address} ${port}`.toLowerCase();
    if (address && !seen.has(key)) seen.set(key, { address, port: Number(port), protocol: protocol.toUpperCase(), type });
  }
  return [...seen.values()];
}

/** `10.0.0.5:8189`, `[fe80::1]:8189` */
export function hostPort(address, port) {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Whether an answer rejected its video (port 0) or has none. */
export function videoRejected(answer) {
  const video = lines(answer, 'm=video');
  return video.length === 0 || video.every((line) => line.split(' ')[1] === '0');
}

const PROFILES = { 66: 'Baseline', 77: 'Main', 88: 'Extended', 100: 'High', 110: 'High 10', 122: 'High 4:2:2' };

/** `High 4.0` from an H.264 fmtp line (RFC 6184 §8.1), or null. */
export function h264Profile(fmtp) {
  const id = /profile-level-id=([0-9a-f]{6})/i.exec(fmtp || '');
  if (!id) return null;
  const [profile, constraints, level] = [0, 2, 4].map((at) => parseInt(id[1].slice(at, at + 2), 16));
  const name = profile === 66 && constraints & 0x40 ? 'Constrained Baseline' : PROFILES[profile];
  return `${name || `profile ${profile}`} ${(level / 10).toFixed(1)}`;
}
