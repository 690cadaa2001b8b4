/* That the headers are C, and what a C program writes. */
#include <tlsmux/ports.h>

int bind_admin_port(int socket) { return tmx_bind_service(socket, NULL, 0, "EBANKING", "static:admin"); }
