// Open and seal compact JWE tokens with npm's jose: one JSON array of jobs on stdin, one of results on stdout.
import { CompactEncrypt, compactDecrypt, importJWK, importPKCS8, importSPKI } from "jose";
import { text } from "node:stream/consumers";

const bytes = (value) => new TextEncoder().encode(value);

async function keyOf({ jwk, pkcs8, spki, alg }) {
  if (jwk) return importJWK(jwk, alg);
  return pkcs8 ? importPKCS8(pkcs8, alg) : importSPKI(spki, alg);
}

async function open(job) {
  const { plaintext, protectedHeader } = await compactDecrypt(job.token, await keyOf(job), {
    keyManagementAlgorithms: [job.alg],
  });
  return { text: new TextDecoder().decode(plaintext), header: protectedHeader };
}

async function seal(job) {
  const token = new CompactEncrypt(bytes(job.text)).setProtectedHeader(job.header);
  if (job.apv) token.setKeyManagementParameters({ apv: new Uint8Array(Buffer.from(job.apv, "base64url")) });
  return { token: await token.encrypt(await keyOf(job)) };
}

const jobs = JSON.parse(await text(process.stdin));
const results = [];
for (const job of jobs) results.push(await (job.token ? open(job) : seal(job)));
process.stdout.write(JSON.stringify(results));
