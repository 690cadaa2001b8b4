// A payment host over TLS that leaves ISO 8583 to the npm package iso_8583. It answers requests with all of their
// fields and 39=00, and asks by itself when told to.
//
// usage: node iso8583_host.js CERTIFICATE KEY RECORD [ASK_EVERY]
//   RECORD     a line per message, as the library understood it: CONNECTION FIELD=HEX ...
//   ASK_EVERY  send an 0800 before the answer to every so manyth request of a connection
'use strict';

const fs = require('fs');
const tls = require('tls');
const Iso8583 = require('iso_8583');

const [certificateFile, keyFile, recordFile, askEvery] = process.argv.slice(2);

const kTypeBytes = 4;
const kLengthBytes = 2;
const kBitmapDigits = 16;

// ISO 8583:1987 where the library's own table has something else: every element in ASCII, bitmaps and binary data as
// hexadecimal digits, fields 53, 58, 59 and 120 as the standard has them.
const hexadecimal = { ContentType: 'an', Label: 'Binary data', LenType: 'fixed', MaxLen: 16 };
const text = { ContentType: 'ans', Label: 'Reserved', LenType: 'lllvar', MaxLen: 999 };
const formats = {
  1: hexadecimal,
  52: hexadecimal,
  53: { ContentType: 'n', Label: 'Security related control information', LenType: 'fixed', MaxLen: 16 },
  58: text,
  59: text,
  64: hexadecimal,
  96: hexadecimal,
  120: text,
  128: hexadecimal,
};

// The library reads hexadecimal bitmaps only where there are always two; it is given them as bytes.
function withBinaryBitmaps(message) {
  const digits = message.subarray(kTypeBytes).toString('latin1');
  const hasSecondary = /^[89a-f]/i.test(digits);
  const length = kBitmapDigits * (hasSecondary ? 2 : 1);
  const bitmaps = Buffer.from(digits.slice(0, length), 'hex');
  return Buffer.concat([message.subarray(0, kTypeBytes), bitmaps, message.subarray(kTypeBytes + length)]);
}

function unpack(message) {
  const fields = new Iso8583({}, formats).getIsoJSON(withBinaryBitmaps(message), { lenHeader: false });
  if (fields.error) throw new Error(`the library cannot unpack a message: ${JSON.stringify(fields.error)}`);
  return fields;
}

// With the library's own length before it.
function pack(fields) {
  const frame = new Iso8583(fields, formats).getBufferMessage();
  if (!Buffer.isBuffer(frame)) throw new Error(`the library cannot pack a message: ${JSON.stringify(frame)}`);
  return frame;
}

function record(connection, fields) {
  const words = Object.entries(fields).map(([field, value]) => `${field}=${Buffer.from(value).toString('hex')}`);
  fs.appendFileSync(recordFile, `${[connection, ...words].join(' ')}\n`);
}

let connections = 0;
let traceNumber = 0;

function echoTest() {
  const now = new Date().toISOString().replace(/[-:T]/g, '').slice(4, 14); // MMDDhhmmss
  return { 0: '0800', 7: now, 11: String(++traceNumber).padStart(6, '0'), 70: '301' };
}

function isRequest(type) {
  return type[2] === '0' || type[2] === '2';
}

class Connection {
  constructor(socket) {
    this.number = ++connections;
    this.socket = socket;
    this.input = Buffer.alloc(0);
    this.requests = 0;
  }

  take(bytes) {
    this.input = Buffer.concat([this.input, bytes]);
    while (this.input.length >= kLengthBytes) {
      const end = kLengthBytes + this.input.readUInt16BE(0);
      if (this.input.length < end) return;
      if (end > kLengthBytes) this.takeMessage(this.input.subarray(kLengthBytes, end));
      this.input = this.input.subarray(end);
    }
  }

  takeMessage(message) {
    const fields = unpack(message);
    record(this.number, fields);
    if (!isRequest(fields[0])) return;
    ++this.requests;
    if (askEvery && this.requests % Number(askEvery) === 0) this.socket.write(pack(echoTest()));
    const answer = new Iso8583({ ...fields, 39: '00' }, formats).toResponse();
    this.socket.write(pack(answer));
  }
}

const options = { cert: fs.readFileSync(certificateFile), key: fs.readFileSync(keyFile) };
const server = tls.createServer(options, (socket) => {
  const connection = new Connection(socket);
  socket.setNoDelay(true);
  socket.on('data', (bytes) => connection.take(bytes));
  socket.on('error', () => socket.destroy());
});
server.listen(0, '127.0.0.1', () => console.log(`listening 127.0.0.1:${server.address().port}`));
process.on('SIGTERM', () => process.exit(0));
