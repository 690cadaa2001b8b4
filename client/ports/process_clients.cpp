#include "client/ports/process_clients.hpp"

#include <atomic>
#include <cstdlib>
#include <list>
#include <memory>
#include <mutex>

#include "client/fork_guard.hpp"
#include "client/no_cancellation.hpp"

namespace tlsmux::client {
namespace {

struct ServiceClient {
  explicit ServiceClient(std::string name) : service(std::move(name)) {}

  const std::string service;
  std::mutex attaching;
  std::atomic<tmx_client*> client = nullptr;
};

struct ProcessClients {
  explicit ProcessClients(std::shared_ptr<const ForkGuard> guard) : fork_guard(std::move(guard)) {}

  const std::shared_ptr<const ForkGuard> fork_guard;
  std::mutex mutex;  // guards the list; its members stay where they are
  std::list<ServiceClient> services;
};

// Owned by the process: see the header.
constinit std::atomic<ProcessClients*> clients_of_process = nullptr;

// Null: there are none of this process yet.
ProcessClients* present_clients() {
  auto* const clients = clients_of_process.load(std::memory_order_acquire);
  return clients != nullptr && !clients->fork_guard->in_child() ? clients : nullptr;
}

std::expected<ProcessClients*, int> clients() {
  auto* inherited = clients_of_process.load(std::memory_order_acquire);
  if (inherited != nullptr && !inherited->fork_guard->in_child()) return inherited;
  auto guard = ForkGuard::create();
  if (!guard) return std::unexpected(guard.error().code);
  auto made = std::make_unique<ProcessClients>(std::move(*guard));
  // Another thread may have been faster.
  if (!clients_of_process.compare_exchange_strong(inherited, made.get(), std::memory_order_acq_rel)) return inherited;
  return made.release();
}

ServiceClient* find(ProcessClients& clients, const std::string& service) {
  const std::lock_guard lock(clients.mutex);
  for (auto& each : clients.services) {
    if (each.service == service) return &each;
  }
  return nullptr;
}

ServiceClient& find_or_add(ProcessClients& clients, const std::string& service) {
  const std::lock_guard lock(clients.mutex);
  for (auto& each : clients.services) {
    if (each.service == service) return each;
  }
  return clients.services.emplace_back(service);
}

}  // namespace

std::string service_or_environment(const char* service) {
  for (const char* name : {service, static_cast<const char*>(::secure_getenv("TLSMUX_SERVICE")),
                           static_cast<const char*>(::secure_getenv("TLSMUX_GROUP"))}) {
    if (name != nullptr && *name != '\0') return name;
  }
  return {};
}

std::expected<tmx_client*, int> client_of_process(const std::string& service) {
  const auto all = clients();
  if (!all) return std::unexpected(all.error());
  auto& entry = find_or_add(**all, service);
  if (auto* const client = entry.client.load(std::memory_order_acquire)) return client;

  const NoCancellation whole;
  const std::lock_guard lock(entry.attaching);
  if (auto* const client = entry.client.load(std::memory_order_acquire)) return client;
  tmx_attach_options options{};
  options.struct_bytes = sizeof options;
  options.group = service.c_str();
  options.channels = 1;
  tmx_client* client = nullptr;
  if (const int error = tmx_attach(&options, &client); error != 0) return std::unexpected(-error);
  entry.client.store(client, std::memory_order_release);
  return client;
}

tmx_client* present_client_of_process(const std::string& service) {
  auto* const clients = present_clients();
  const auto* const entry = clients != nullptr ? find(*clients, service) : nullptr;
  return entry != nullptr ? entry->client.load(std::memory_order_acquire) : nullptr;
}

}  // namespace tlsmux::client
