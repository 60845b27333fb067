// A back end made of code nobody here wrote: npm's iso_8583 reads and writes the messages, Node's TLS and OpenSSL
// carry and authenticate them. It answers 0800, 0200 and 0420 and prints what it understood, one JSON line each.
"use strict";
const crypto = require("crypto");
const fs = require("fs");
const tls = require("tls");
const Iso8583 = require("iso_8583");

const [certificate, key, authority, macKeyHex] = process.argv.slice(2);
const macKey = Buffer.from(macKeyHex, "hex");
const binary = (digits) => ({ ContentType: "b", Label: "binary", LenType: "fixed", MaxLen: digits });
// The library counts binary elements in hexadecimal digits, and its DE53 is binary: both are given as data here.
const FORMATS = {
  52: binary(16), 64: binary(16), 128: binary(16),
  53: { ContentType: "n", Label: "security control", LenType: "fixed", MaxLen: 16 },
};
const ECHOED = { "0200": [2, 3, 4, 7, 11, 12, 13, 25, 32, 33, 37, 41, 42, 49], "0800": [7, 11, 33, 70],
  "0420": [2, 3, 4, 7, 11, 12, 13, 25, 32, 33, 37, 41, 42, 49, 90] };
ECHOED["0421"] = ECHOED["0420"];

// ANSI X9.19: single DES in CBC, then the last block under triple DES; single DES is triple DES with one key thrice.
function mac(text) {
  const padded = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8)]);
  const k1 = macKey.subarray(0, 8);
  const encrypt = (triple, iv, data) => {
    const cipher = crypto.createCipheriv("des-ede3-cbc", triple, iv).setAutoPadding(false);
    return Buffer.concat([cipher.update(data), cipher.final()]);
  };
  const head = padded.subarray(0, -8);
  const chained = head.length ? encrypt(Buffer.concat([k1, k1, k1]), Buffer.alloc(8), head).subarray(-8) : Buffer.alloc(8);
  return encrypt(Buffer.concat([macKey, k1]), chained, padded.subarray(-8));
}

function answer(message) {
  const request = new Iso8583({}, FORMATS).getIsoJSON(message, { lenHeader: false });
  const right = crypto.timingSafeEqual(mac(message.subarray(0, -8)), message.subarray(-8));
  console.log(JSON.stringify({ ...request, right_mac: right }));
  const kind = request[0];
  const fields = { 0: kind.slice(0, 2) + String(Number(kind[2]) + 1) + "0" };
  for (const number of ECHOED[kind]) if (request[number] !== undefined) fields[number] = request[number];
  fields[39] = right ? (Number(request[4] || 0) % 100 === 51 ? "51" : "00") : "A0";
  if (kind === "0200" && fields[39] === "00") fields[38] = request[11];
  fields[128] = "0000000000000000"; // the library always writes the second bitmap, so that the MAC stands here
  const encoded = new Iso8583(fields, FORMATS).getRawMessage();
  if (!Buffer.isBuffer(encoded)) throw new Error(JSON.stringify(encoded));
  const text = encoded.subarray(0, -8);
  return Buffer.concat([text, mac(text)]);
}

const server = tls.createServer(
  { cert: fs.readFileSync(certificate), key: fs.readFileSync(key), ca: fs.readFileSync(authority), requestCert: true,
    rejectUnauthorized: true, minVersion: "TLSv1.3" },
  (socket) => {
    let buffer = Buffer.alloc(0);
    socket.on("data", (data) => {
      buffer = Buffer.concat([buffer, data]);
      while (buffer.length >= 2 && buffer.length >= 2 + buffer.readUInt16BE(0)) {
        const end = 2 + buffer.readUInt16BE(0);
        if (end > 2) {
          const reply = answer(buffer.subarray(2, end));
          const header = Buffer.alloc(2);
          header.writeUInt16BE(reply.length);
          socket.write(Buffer.concat([header, reply]));
        }
        buffer = buffer.subarray(end);
      }
    });
    socket.on("error", () => socket.destroy());
  },
);
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
process.on("SIGTERM", () => process.exit(0));
