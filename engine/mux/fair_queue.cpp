#include "engine/mux/fair_queue.hpp"

#include "shm/assert.hpp"

namespace tlsmux::engine::mux {

// As the last of the round that begins with `turn`.
template <typename Place>
void FairQueue::join(std::vector<Place>& places, std::uint32_t& turn, std::uint32_t index) {
  auto& place = places[index];
  if (turn == kNone) {
    place.previous = place.next = turn = index;
    return;
  }
  place.next = turn;
  place.previous = places[turn].previous;
  places[place.previous].next = index;
  places[turn].previous = index;
}

template <typename Place>
void FairQueue::leave(std::vector<Place>& places, std::uint32_t& turn, std::uint32_t index) {
  auto& place = places[index];
  if (turn == index) turn = place.next == index ? kNone : place.next;
  places[place.previous].next = place.next;
  places[place.next].previous = place.previous;
  place.previous = place.next = kNone;
}

RequestIndex FairQueue::front() const {
  if (!given_back_.empty()) return given_back_.front();
  return group_ == kNone ? kNone : clients_[groups_[group_].client].requests.front();
}

void FairQueue::push(RequestTable& table, RequestIndex index) {
  const auto& request = table[index];
  if (request.client >= clients_.size()) clients_.resize(request.client + 1);
  auto& client = clients_[request.client];
  auto& group = groups_[request.group];
  TMX_ASSERT(client.requests.empty() || table[client.requests.front()].group == request.group);
  if (group.size == 0) join(groups_, group_, request.group);
  if (client.requests.empty()) join(clients_, group.client, request.client);
  client.requests.push_back(table, index);
  ++group.size;
  ++size_;
}

void FairQueue::give_back(RequestTable& table, RequestIndex index) {
  given_back_.push_front(table, index);
  ++size_;
}

void FairQueue::take(RequestTable& table, RequestIndex index) {
  TMX_ASSERT(index == front());
  const auto& request = table[index];
  if (request.state != RequestState::requeued) {
    auto& group = groups_[request.group];
    group.client = clients_[request.client].next;
    group_ = group.next;
  }
  remove(table, index);
}

void FairQueue::remove(RequestTable& table, RequestIndex index) {
  const auto& request = table[index];
  --size_;
  if (request.state == RequestState::requeued) return given_back_.remove(table, index);
  auto& client = clients_[request.client];
  auto& group = groups_[request.group];
  client.requests.remove(table, index);
  --group.size;
  if (client.requests.empty()) leave(clients_, group.client, request.client);
  if (group.size == 0) leave(groups_, group_, request.group);
}

}  // namespace tlsmux::engine::mux
