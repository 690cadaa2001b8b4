// Binds a TCP port, linked statically: nothing can be put in front of its bind but the kernel. Exits with the errno.
// usage: static_bind PORT

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int count, char** arguments) {
  if (count != 2) return 255;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((in_port_t)atoi(arguments[1]))};
  int handle = socket(AF_INET, SOCK_STREAM, 0);
  if (handle < 0) return 255;
  return bind(handle, (struct sockaddr*)&address, sizeof address) == 0 ? 0 : errno;
}
