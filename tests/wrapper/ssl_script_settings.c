/* What ssl_script tells OpenSSL before a handshake. */
#define OPENSSL_SUPPRESS_DEPRECATED
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

static int choose_certificate(SSL* of, void* argument) {
  (void)of, (void)argument;
  return 1;
}

static unsigned give_key(SSL* of, const char* hint, char* identity, unsigned identity_bytes, unsigned char* key,
                         unsigned key_bytes) {
  (void)of, (void)hint, (void)identity, (void)identity_bytes, (void)key, (void)key_bytes;
  return 0;
}

static int give_session(SSL* of, const EVP_MD* digest, const unsigned char** name, size_t* bytes,
                        SSL_SESSION** session) {
  (void)of, (void)digest, (void)name, (void)bytes;
  *session = NULL;
  return 1;
}

static int say_nothing(SSL* of, unsigned type, unsigned where, const unsigned char** out, size_t* bytes,
                       X509* certificate, size_t place, int* alert, void* argument) {
  (void)of, (void)type, (void)where, (void)out, (void)bytes, (void)certificate, (void)place, (void)alert,
      (void)argument;
  return 0;
}

/* In each of the ways in which only a handshake of the program's own can say who it is. Here none has anything to say. */
static int set_identity_by(const char* way) {
  static char name[] = "name";
  if (strcmp(way, "context_certificate") == 0) return SSL_CTX_set_cert_cb(context, choose_certificate, NULL), 1;
  if (strcmp(way, "certificate") == 0) return SSL_set_cert_cb(ssl, choose_certificate, NULL), 1;
  if (strcmp(way, "context_psk") == 0) return SSL_CTX_set_psk_client_callback(context, give_key), 1;
  if (strcmp(way, "psk") == 0) return SSL_set_psk_client_callback(ssl, give_key), 1;
  if (strcmp(way, "context_session") == 0) return SSL_CTX_set_psk_use_session_callback(context, give_session), 1;
  if (strcmp(way, "session") == 0) return SSL_set_psk_use_session_callback(ssl, give_session), 1;
  if (strcmp(way, "name") == 0) return SSL_CTX_set_srp_username(context, name);
  if (strcmp(way, "extension") == 0) {
    return SSL_CTX_add_custom_ext(context, 1000, SSL_EXT_CLIENT_HELLO, say_nothing, NULL, NULL, NULL, NULL);
  }
  if (strcmp(way, "server_extension") == 0) {
    return SSL_CTX_add_custom_ext(context, 1000, SSL_EXT_TLS1_3_SERVER_HELLO, say_nothing, NULL, NULL, NULL, NULL);
  }
  if (strcmp(way, "nothing") != 0) return 0;
  SSL_CTX_set_cert_cb(context, NULL, NULL);
  SSL_set_cert_cb(ssl, NULL, NULL);
  SSL_CTX_set_psk_client_callback(context, NULL);
  SSL_set_psk_client_callback(ssl, NULL);
  SSL_CTX_set_psk_use_session_callback(context, NULL);
  SSL_set_psk_use_session_callback(ssl, NULL);
  return 1;
}

int do_setting(const char* name, const char* value) {
  if (strcmp(name, "identity_by") == 0) return set_identity_by(value);
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
