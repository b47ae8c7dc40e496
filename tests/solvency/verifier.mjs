// The second verifier of the solvency proof, written from docs/solvency-proof.md alone; section numbers are that file's.
//
//   node tests/solvency/verifier.mjs SNAPSHOT.json PROOF.json ATTESTER_HEX NONCE_HEX [NOW_EPOCH_S]   exit 0 valid, 5 not
//   node tests/solvency/verifier.mjs                                                one JSON case a line in, one answer out
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { ed25519, ristretto255, ristretto255_hasher } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';

const Point = ristretto255.Point;
const G = Point.BASE;
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const ascii = (text) => new TextEncoder().encode(text);
const H = ristretto255_hasher.deriveToCurve(sha512(ascii('marginline/solvency/v1/pedersen-H')));
H.precompute(8);
const PROFILES = { standard: { n: 16, amount: 64, surplus: 128 }, small: { n: 2, amount: 1, surplus: 4 } };
const FLOORS = { 1.1: 11000n, 1.25: 12500n, 1.5: 15000n, 2: 20000n };
const MODES = { full: 0, 'surplus-only': 1 };

class Rejected extends Error {}
const must = (holds, reason) => {
  if (!holds) throw new Rejected(reason);
};

// Bytes and scalars
const unhex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
const join = (parts) => {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
};
const little = (bytes) => BigInt('0x' + hex(Uint8Array.from(bytes).reverse()));
const big = (value, size) => unhex(BigInt(value).toString(16).padStart(2 * size, '0'));
const text = (bytes) => join([big(bytes.length, 2), bytes]);
const mod = (value) => ((value % L) + L) % L;
const same = (left, right) => hex(left) === hex(right);
const times = (factor, point) => (factor === 0n || point.is0() ? Point.ZERO : point.multiplyUnsafe(factor));
const timesH = (factor) => (factor === 0n ? Point.ZERO : H.multiplyUnsafe(factor));

// 9. JSON, one way to write each value
function requireKeysOnce(source) {
  // JSON.parse keeps the last of two equal keys; a verifier must refuse both.
  const open = [];
  const tokens = /"(?:[^"\\]|\\.)*"|[{}[\]:,]/g;
  let before = null;
  for (let token; (token = tokens.exec(source)); ) {
    const found = token[0];
    if (found === '{' || found === '[') open.push(found === '{' ? new Set() : null);
    else if (found === '}' || found === ']') open.pop();
    else if (found === ':') {
      const key = JSON.parse(before);
      must(!open.at(-1).has(key), `key ${key} is given twice`);
      open.at(-1).add(key);
    }
    before = found;
  }
}
function document(source, schema, keys) {
  must(source.length <= 16_000_000, 'too large');
  let root;
  try {
    root = JSON.parse(source);
  } catch {
    throw new Rejected('not JSON');
  }
  requireKeysOnce(source);
  exactly(root, keys);
  must(root.schema === schema, 'schema');
  return root;
}
function exactly(value, keys) {
  must(value !== null && typeof value === 'object' && !Array.isArray(value), 'not an object');
  const has = Object.keys(value).sort().join();
  must(has === [...keys].sort().join(), `keys are ${has.slice(0, 200)}`);
}
const integer = (value, low, high) => {
  must(typeof value === 'string' && /^(0|[1-9][0-9]{0,38})$/.test(value), 'an integer is not written as it must');
  const found = BigInt(value);
  must(found >= low && found <= high, 'an integer is out of range');
  return found;
};
const bytes = (value, size) => {
  must(typeof value === 'string' && /^([0-9a-f]{2})+$/.test(value), 'bytes are not written as they must');
  must(size === undefined || value.length === 2 * size, 'bytes of a wrong length');
  return unhex(value);
};
const printable = (value, low, high) => {
  must(typeof value === 'string' && /^[ -~]*$/.test(value), 'a text is not printable ASCII');
  must(value.length >= low && value.length <= high, 'a text of a wrong length');
  return ascii(value);
};
const list = (value, low, high) => {
  must(Array.isArray(value) && value.length >= low && value.length <= high, 'a list of a wrong length');
  return value;
};
const moment = (value) => {
  must(typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(value), 'a time is not written as it must');
  const found = Date.parse(value);
  must(found >= 0 && new Date(found).toISOString() === value.replace('Z', '.000Z'), 'not a real moment');
  return BigInt(found / 1000);
};

// 3. Snapshot message
function readSnapshot(source, profile) {
  const root = document(source, 'marginline.snapshot/1', [
    'schema', 'as_of', 'degraded', 'subject', 'unit', 'accounts', 'expires_at', 'block', 'ranges_checked', 'assets',
    'collateral', 'debt', 'attester', 'signature',
  ]);
  must(typeof root.ranges_checked === 'boolean', 'ranges_checked');
  const attester = bytes(root.attester, 32);
  const takenAt = moment(root.as_of);
  const expiresAt = moment(root.expires_at);
  const caveats = list(root.degraded, 0, 16).map((one) => printable(one, 1, 200));
  const places = list(root.assets, 1, profile.n).map(readPlace);
  must(new Set(root.assets.map((one) => one.asset)).size === places.length, 'an asset is listed twice');
  while (places.length < profile.n) places.push({ weighs: 0n, down: 0n, up: 0n, encoded: new Uint8Array(38) });
  const collateral = list(root.collateral, profile.n, profile.n).map((one) => bytes(one, 32));
  const debt = list(root.debt, profile.n, profile.n).map((one) => bytes(one, 32));
  const message = join([
    text(ascii('marginline/solvency/v1/snapshot')),
    Uint8Array.of(profile.n, profile.amount, profile.surplus),
    attester,
    text(printable(root.subject, 0, 100)),
    text(printable(root.unit, 1, 40)),
    big(integer(root.accounts, 1n, 1000n), 2),
    big(takenAt, 8),
    big(expiresAt, 8),
    readBlock(root.block),
    Uint8Array.of(root.ranges_checked ? 1 : 0),
    Uint8Array.of(caveats.length),
    ...caveats.map(text),
    ...places.map((one) => one.encoded),
    ...collateral,
    ...debt,
  ]);
  const signature = bytes(root.signature, 64);
  const digest = sha512(message);
  return { attester, takenAt, expiresAt, checked: root.ranges_checked, places, collateral, debt, message, signature, digest };
}
function readPlace(value) {
  exactly(value, ['asset', 'decimals', 'threshold_bps', 'price_down', 'price_up', 'round_id']);
  const weighs = integer(value.threshold_bps, 0n, 10000n);
  const down = integer(value.price_down, 0n, 2n ** 56n - 1n);
  const up = integer(value.price_up, down > 1n ? down : 1n, down + 1n);
  const round =
    value.round_id === null
      ? new Uint8Array(17)
      : join([Uint8Array.of(1), big(integer(value.round_id, 0n, 2n ** 128n - 1n), 16)]);
  const name = text(printable(value.asset, 1, 40));
  const decimals = big(integer(value.decimals, 0n, 36n), 1);
  return { weighs, down, up, encoded: join([name, decimals, big(weighs, 2), big(down, 8), big(up, 8), round]) };
}
function readBlock(value) {
  if (value === null) return new Uint8Array(49);
  exactly(value, ['chain_id', 'number', 'hash']);
  const top = 2n ** 64n - 1n;
  const chain = big(integer(value.chain_id, 1n, top), 8);
  return join([Uint8Array.of(1), chain, big(integer(value.number, 0n, top), 8), bytes(value.hash, 32)]);
}
function readProof(source) {
  const root = document(source, 'marginline.proof/1', [
    'schema', 'as_of', 'degraded', 'mode', 'floor', 'nonce', 'snapshot', 'proof',
  ]);
  list(root.degraded, 0, 0);
  must(typeof root.mode === 'string' && Object.hasOwn(MODES, root.mode), 'mode');
  must(typeof root.floor === 'string' && Object.hasOwn(FLOORS, root.floor), 'floor');
  const nonce = bytes(root.nonce);
  must(nonce.length >= 16 && nonce.length <= 64, 'nonce of a wrong length');
  const snapshot = bytes(root.snapshot, 64);
  return { mode: root.mode, floor: FLOORS[root.floor], nonce, madeAt: moment(root.as_of), snapshot, data: bytes(root.proof) };
}

// 4. Signature, strict and without cofactor
function isSigned(key, digest, signature) {
  try {
    const A = ed25519.Point.fromBytes(key);
    const R = ed25519.Point.fromBytes(signature.slice(0, 32));
    const S = little(signature.slice(32));
    if (S >= L || A.isSmallOrder() || R.isSmallOrder()) return false;
    const k = mod(little(sha512(join([signature.slice(0, 32), key, digest]))));
    const base = S === 0n ? ed25519.Point.ZERO : ed25519.Point.BASE.multiplyUnsafe(S);
    const found = base.subtract(k === 0n ? ed25519.Point.ZERO : A.multiplyUnsafe(k));
    return same(found.toBytes(), signature.slice(0, 32));
  } catch {
    return false;
  }
}
function point(encoded, reason) {
  try {
    const found = Point.fromBytes(encoded);
    must(!found.is0(), reason);
    return found;
  } catch {
    throw new Rejected(reason);
  }
}

// 8. The checks, in order
export function verify(snapshotSource, proofSource, asked, profile = PROFILES.standard) {
  const snapshot = readSnapshot(snapshotSource, profile);
  const proof = readProof(proofSource);
  must(same(snapshot.attester, unhex(asked.attester)), 'attester');
  must(isSigned(snapshot.attester, snapshot.digest, snapshot.signature), 'signature');
  must(snapshot.takenAt < snapshot.expiresAt, 'expires before it was taken');
  must(BigInt(asked.now) < snapshot.expiresAt, 'expired');
  const C = snapshot.collateral.map((one) => point(one, 'commitment'));
  const D = snapshot.debt.map((one) => point(one, 'commitment'));
  must(same(proof.snapshot, snapshot.digest), 'another snapshot');
  must(same(proof.nonce, unhex(asked.nonce)), 'nonce');
  must(asked.floor === undefined || proof.floor >= FLOORS[asked.floor], 'floor');
  must(proof.mode === 'full' || (!asked.full && snapshot.checked), 'mode');

  let V = Point.ZERO; // 5
  snapshot.places.forEach((place, i) => {
    const [wc, wd] = [place.down * place.weighs, place.up * proof.floor];
    must(wc < 2n ** 56n && wd < 2n ** 56n, 'weight');
    V = V.add(times(wc, C[i])).subtract(times(wd, D[i]));
  });

  const ranges = proof.mode === 'full' ? [...C, ...D].map((one) => [one, profile.amount]) : []; // 6
  ranges.push([V, profile.surplus]);
  const count = ranges.reduce((total, [, bits]) => total + bits, 0);
  must(proof.data.length === 32 + 128 * count, 'length');
  const scalar = (at) => {
    const value = little(proof.data.slice(at, at + 32));
    must(value < L, 'scalar');
    return value;
  };
  const e = scalar(0);
  const bits = Array.from({ length: count }, (_, i) => {
    const at = 32 + 128 * i;
    const encoded = proof.data.slice(at, at + 32);
    return { encoded, B: point(encoded, 'bit commitment'), e0: scalar(at + 32), z0: scalar(at + 64), z1: scalar(at + 96) };
  });
  let first = 0;
  for (const [sum, size] of ranges) {
    let total = Point.ZERO;
    for (let k = size - 1; k >= 0; k--) total = total.double().add(bits[first + k].B);
    must(total.equals(sum), 'sum of bits');
    first += size;
  }

  const heard = bits.map(({ encoded, B, e0, z0, z1 }) => { // 7
    const A0 = timesH(z0).subtract(times(e0, B));
    const A1 = timesH(z1).subtract(times(mod(e - e0), B.subtract(G)));
    return join([encoded, A0.toBytes(), A1.toBytes()]);
  });
  const hashed = sha512(
    join([
      text(ascii('marginline/solvency/v1/proof')),
      big(snapshot.message.length, 4),
      snapshot.message,
      Uint8Array.of(MODES[proof.mode]),
      big(proof.floor, 2),
      big(proof.madeAt, 8),
      Uint8Array.of(proof.nonce.length),
      proof.nonce,
      G.toBytes(),
      H.toBytes(),
      ...heard,
    ]),
  );
  must(mod(little(hashed)) === e, 'challenge');
}

function answer(work) {
  try {
    work();
    return { valid: true, reason: '' };
  } catch (error) {
    if (error instanceof Rejected) return { valid: false, reason: error.message };
    throw error;
  }
}

const [snapshotFile, proofFile, attester, nonce, now] = process.argv.slice(2);
if (snapshotFile !== undefined) {
  const asked = { attester, nonce, now: now ?? Math.floor(Date.now() / 1000) };
  const said = answer(() => verify(readFileSync(snapshotFile, 'utf8'), readFileSync(proofFile, 'utf8'), asked));
  console.log(said.valid ? 'valid' : `not valid: ${said.reason}`);
  process.exitCode = said.valid ? 0 : 5;
} else {
  for await (const line of createInterface({ input: process.stdin })) {
    const one = JSON.parse(line);
    const said = answer(() => verify(one.snapshot, one.proof, one.asked, PROFILES[one.profile]));
    console.log(JSON.stringify(said));
  }
}
