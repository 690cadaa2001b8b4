/* The least that proves that header and library fit together. */
#include <stdio.h>
#include <string.h>
#include <tlsmux/tlsmux.h>

int main(void) {
  tmx_client* client = NULL;
  tmx_attach_options options;
  memset(&options, 0, sizeof options);
  options.struct_bytes = sizeof options;
  options.group = "NOBODY";
  options.control_socket = "no-such-socket";
  if (tmx_attach(&options, &client) >= 0) return 1; /* there is no engine */
  puts(tmx_version());
  return 0;
}
