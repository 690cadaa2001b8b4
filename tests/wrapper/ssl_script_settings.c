/* What ssl_script tells OpenSSL before a handshake. */
#include <dlfcn.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "tests/wrapper/ssl_script.h"

static void set_timeout(int option, const char* ms) {
  const struct timeval timeout = {.tv_sec = atoi(ms) / 1000, .tv_usec = atoi(ms) % 1000 * 1000};
  setsockopt(tcp, SOL_SOCKET, option, &timeout, sizeof timeout);
}

int accept_all(int is_good, X509_STORE_CTX* store) {
  printf("  callback: %s at %d\n", is_good ? "good" : X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)),
         X509_STORE_CTX_get_error_depth(store));
  return 1;
}

int refuse_all(int is_good, X509_STORE_CTX* store) {
  (void)is_good;
  X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

static int verify_own(X509_STORE_CTX* store, void* verdict) {
  SSL* const of = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
  printf("  own: of this %d, %d given\n", of == ssl, sk_X509_num(X509_STORE_CTX_get0_untrusted(store)));
  if (atoi(verdict) == 0) X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
  return atoi(verdict);
}

static int is_stapled(SSL* of, void* verdict) {
  const unsigned char* response = NULL;
  printf("  stapled: %ld bytes\n", SSL_get_tlsext_status_ocsp_resp(of, &response));
  return atoi(verdict);
}

static void ask_for_staple(const char* verdict) {
  SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp);
  SSL_CTX_set_tlsext_status_cb(context, is_stapled);
  SSL_CTX_set_tlsext_status_arg(context, (void*)verdict);
}

/* As a program may that does without the wrapper where there is none. */
static void set_shared(const char* value) {
  int (*set)(SSL*, int) = NULL;
  *(void**)&set = dlsym(RTLD_DEFAULT, "tmx_SSL_set_shared");
  printf("shared: %d\n", set != NULL ? set(ssl, atoi(value)) : -1);
}

static void set_alpn(const char* protocol) {
  unsigned char list[100];
  list[0] = (unsigned char)strlen(protocol);
  memcpy(list + 1, protocol, list[0]);
  SSL_set_alpn_protos(ssl, list, list[0] + 1U);
}

int do_setting(const char* name, const char* value) {
  if (strcmp(name, "name") == 0) return SSL_set_tlsext_host_name(ssl, value), 1;
  if (strcmp(name, "host") == 0) return SSL_set1_host(ssl, value), 1;
  if (strcmp(name, "trust") == 0) return SSL_CTX_load_verify_file(context, value), 1;
  if (strcmp(name, "address") == 0) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), value), 1;
  if (strcmp(name, "time") == 0) return X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl), atol(value)), 1;
  if (strcmp(name, "stapled") == 0) return ask_for_staple(value), 1;
  if (strcmp(name, "shared") == 0) return set_shared(value), 1;
  if (strcmp(name, "depth") == 0) return SSL_set_verify_depth(ssl, atoi(value)), 1;
  if (strcmp(name, "own_verify") == 0) return SSL_CTX_set_cert_verify_callback(context, verify_own, (void*)value), 1;
  if (strcmp(name, "alpn") == 0) return set_alpn(value), 1;
  if (strcmp(name, "max") == 0) return SSL_set_max_proto_version(ssl, TLS1_VERSION + atoi(value)), 1;
  if (strcmp(name, "min") == 0) return SSL_set_min_proto_version(ssl, TLS1_VERSION + atoi(value)), 1;
  if (strcmp(name, "receive_timeout") == 0) return set_timeout(SO_RCVTIMEO, value), 1;
  if (strcmp(name, "send_timeout") == 0) return set_timeout(SO_SNDTIMEO, value), 1;
  if (strcmp(name, "certificate") == 0) {
    SSL_use_certificate_file(ssl, value, SSL_FILETYPE_PEM);
    return SSL_use_PrivateKey_file(ssl, value, SSL_FILETYPE_PEM), 1;
  }
  if (strcmp(name, "mode") == 0) {
    const int is_partial = strcmp(value, "partial") == 0;
    return SSL_set_mode(ssl, is_partial ? SSL_MODE_ENABLE_PARTIAL_WRITE : SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER), 1;
  }
  return 0;
}
