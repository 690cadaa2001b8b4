/* Sends a line over a stream to an upstream and prints what comes back: stream UPSTREAM TEXT
 * For an upstream whose protocol is lines, with or without framing in its configuration. */
#include <stdio.h>
#include <string.h>
#include <tlsmux/stream.h>

static int say_why(const tmx_stream* stream, ssize_t error) {
  char words[256];
  int maybe_sent = 0;
  tmx_reason reason = tmx_stream_reason(stream, &maybe_sent, words, sizeof words);
  if (reason == TMX_REASON_NONE) return fprintf(stderr, "stream: %s\n", tmx_error_text((int)error)), 1;
  /* What was written may have left: only if not may it be sent again. */
  return fprintf(stderr, "%s: %s\n", maybe_sent ? "perhaps sent" : "not sent", words), 1;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  char words[256];
  tmx_stream_options options;
  memset(&options, 0, sizeof options);
  options.struct_bytes = sizeof options;
  options.timeout_ms = 5000;
  options.error_text = words;
  options.error_text_bytes = sizeof words;
  tmx_stream* stream;
  if (tmx_stream_open(argv[1], &options, &stream) < 0) return fprintf(stderr, "open: %s\n", words), 1;

  tmx_stream_set_timeouts(stream, 5000, 5000);
  const struct iovec line[2] = {{argv[2], strlen(argv[2])}, {"\n", 1}};
  ssize_t result = tmx_stream_writev(stream, line, 2);
  if (result >= 0) result = tmx_stream_shutdown(stream); /* no more is asked; answers still come */

  char buffer[4096];
  while (result >= 0 && (result = tmx_stream_read(stream, buffer, sizeof buffer)) > 0) {
    fwrite(buffer, 1, (size_t)result, stdout);
  }
  const int failed = result < 0 ? say_why(stream, result) : 0; /* 0: the host has said that no more comes */
  tmx_stream_close(stream);
  return failed;
}
