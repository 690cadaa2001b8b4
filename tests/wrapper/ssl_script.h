/* What the parts of ssl_script share: one connection, and its settings, facts and socket. */
#pragma once

#include <openssl/ssl.h>

extern SSL_CTX* context;
extern SSL* ssl;
extern int tcp;

/* 0: there is no such setting. */
int do_setting(const char* name, const char* value);

int accept_all(int is_good, X509_STORE_CTX* store);
int refuse_all(int is_good, X509_STORE_CTX* store);

/* The same. */
int do_edge(const char* name);

void print_facts(void);
void print_session(void);
void print_shared(void);

void connect_to(const char* port, int is_waiting);
void connect_again(const char* port);
void connect_from(const char* from, const char* to, const char* port);
void print_peer(void);
