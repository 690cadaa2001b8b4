#include "engine/message/frame_cutter.hpp"

#include <algorithm>
#include <utility>

#include "shm/assert.hpp"
#include "shm/shared_copy.hpp"
#include "shm/wipe.hpp"

namespace tlsmux::engine::message {

FrameCutter::FrameCutter(const Framing& framing)
    : framing_(&framing),
      held_(framing.frame_bytes_max()),
      joined_(framing.has_parts() ? framing.own_header_bytes() + framing.message_bytes_max() : 0) {}

std::expected<void, FramingError> FrameCutter::feed(Bytes bytes, OnMessage on_message) {
  TMX_ASSERT(framing_->cuts_messages());
  if (failed_) return std::unexpected(*failed_);
  const bool delimited = framing_->is_delimited();
  Rest rest = delimited ? finish_held_delimited(bytes, on_message) : finish_held(bytes, on_message);
  if (rest && held_bytes_ == 0) {
    rest = delimited ? cut_whole_delimited(*rest, on_message) : cut_whole(*rest, on_message);
  }
  if (!rest) {
    failed_ = rest.error();
    return std::unexpected(*failed_);
  }
  hold(*rest, held_bytes_ + rest->size());
  return {};
}

// Completes the frame whose beginning is held, if there is one. The bytes behind it; none if it is not complete yet.
FrameCutter::Rest FrameCutter::finish_held(Bytes bytes, OnMessage on_message) {
  if (held_bytes_ == 0) return bytes;
  const auto head_bytes = framing_->head_bytes();
  bytes = hold(bytes, head_bytes);
  if (held_bytes_ < head_bytes) return bytes;
  const auto head = std::span(held_).first(head_bytes);
  const auto said = read_head(head);
  if (!said) return std::unexpected(said.error());

  Bytes body;
  if (held_bytes_ == head_bytes && bytes.size() >= said->body_bytes) {
    body = bytes.first(said->body_bytes);
    bytes = bytes.subspan(said->body_bytes);
  } else {
    bytes = hold(bytes, head_bytes + said->body_bytes);
    if (held_bytes_ < head_bytes + said->body_bytes) return bytes;
    body = std::span(held_).subspan(head_bytes, said->body_bytes);
  }
  const auto held_bytes = std::exchange(held_bytes_, 0);
  const auto accepted = accept(said->kind, head, body, on_message);
  shm::wipe(std::span(held_).first(held_bytes));
  if (!accepted) return std::unexpected(accepted.error());
  return bytes;
}

// Delivers the frames that lie whole in `bytes`. What is behind them: the beginning of one that does not.
FrameCutter::Rest FrameCutter::cut_whole(Bytes bytes, OnMessage on_message) {
  const auto head_bytes = framing_->head_bytes();
  while (bytes.size() >= head_bytes) {
    const auto head = bytes.first(head_bytes);
    const auto said = read_head(head);
    if (!said) return std::unexpected(said.error());
    if (bytes.size() - head_bytes < said->body_bytes) break;
    const auto accepted = accept(said->kind, head, bytes.subspan(head_bytes, said->body_bytes), on_message);
    if (!accepted) return std::unexpected(accepted.error());
    bytes = bytes.subspan(head_bytes + said->body_bytes);
  }
  return bytes;
}

FrameCutter::Rest FrameCutter::finish_held_delimited(Bytes bytes, OnMessage on_message) {
  if (held_bytes_ == 0) return bytes;
  const auto held_before = held_bytes_;
  hold(bytes, framing_->frame_bytes_max());
  const auto held = std::span(held_).first(held_bytes_);
  const auto end = framing_->find_end(held, held_before);
  if (!end) return std::unexpected(end.error());
  if (!*end) return bytes.subspan(held_bytes_ - held_before);
  held_bytes_ = 0;
  const auto accepted = accept_delimited(held.first(**end), on_message);
  shm::wipe(held);
  if (!accepted) return std::unexpected(accepted.error());
  return bytes.subspan(**end - held_before);
}

FrameCutter::Rest FrameCutter::cut_whole_delimited(Bytes bytes, OnMessage on_message) {
  while (!bytes.empty()) {
    const auto end = framing_->find_end(bytes, 0);
    if (!end) return std::unexpected(end.error());
    if (!*end) break;
    const auto accepted = accept_delimited(bytes.first(**end), on_message);
    if (!accepted) return std::unexpected(accepted.error());
    bytes = bytes.subspan(**end);
  }
  return bytes;
}

// Copies until `wanted_bytes` are held or `bytes` is used up. What is left of `bytes`.
FrameCutter::Bytes FrameCutter::hold(Bytes bytes, std::size_t wanted_bytes) {
  if (held_bytes_ >= wanted_bytes) return bytes;
  const auto count = std::min(wanted_bytes - held_bytes_, bytes.size());
  shm::copy_bytes(std::span(held_).subspan(held_bytes_, count), bytes.first(count));
  held_bytes_ += count;
  return bytes.subspan(count);
}

// The limit holds for the parts of a message together, and before the next one is taken in.
std::expected<FrameHead, FramingError> FrameCutter::read_head(Bytes head) const {
  const auto said = framing_->read_head(head);
  if (!said || !in_parts_ || said->kind == FrameKind::control) return said;
  if (joined_bytes_ + framing_->message_bytes(said->body_bytes) > framing_->message_bytes_max()) {
    return std::unexpected(FramingError::too_long);
  }
  return said;
}

std::expected<void, FramingError> FrameCutter::accept_delimited(Bytes frame, OnMessage on_message) {
  const auto head_bytes = framing_->head_bytes();
  const auto body = frame.subspan(head_bytes, frame.size() - head_bytes - framing_->delimiter().size());
  return accept(FrameKind::message, frame.first(head_bytes), body, on_message);
}

std::expected<void, FramingError> FrameCutter::accept(FrameKind kind, Bytes head, Bytes body, OnMessage on_message) {
  if (kind == FrameKind::control) {
    ++controls_;
    return {};
  }
  if (const auto checked = framing_->check_body(body); !checked) return checked;
  const auto header_bytes = std::min(framing_->own_header_bytes(), body.size());
  const Frame frame{.received_header = body.first(header_bytes),
                    .message = body.subspan(header_bytes, framing_->message_bytes(body.size()))};
  const bool ends_message = in_parts_ && kind == FrameKind::message;
  if (frame.message.empty() && !ends_message) {
    count_keep_alive(head, body);
  } else if (kind == FrameKind::part || in_parts_) {
    join(kind, frame, on_message);
  } else {
    on_message(frame);
  }
  return {};
}

void FrameCutter::count_keep_alive(Bytes head, Bytes body) {
  ++keep_alives_;
  last_keep_alive_bytes_ = 0;
  for (const auto bytes : {head, body, framing_->delimiter()}) {
    TMX_ASSERT(bytes.size() <= last_keep_alive_.size() - last_keep_alive_bytes_);
    shm::copy_bytes(std::span(last_keep_alive_).subspan(last_keep_alive_bytes_), bytes);
    last_keep_alive_bytes_ += bytes.size();
  }
}

void FrameCutter::join(FrameKind kind, const Frame& part, OnMessage on_message) {
  const auto header_bytes = framing_->own_header_bytes();
  if (!in_parts_) {
    in_parts_ = true;
    joined_bytes_ = 0;
    shm::copy_bytes(joined_, part.received_header);
  }
  TMX_ASSERT(joined_bytes_ + part.message.size() <= framing_->message_bytes_max());
  shm::copy_bytes(std::span(joined_).subspan(header_bytes + joined_bytes_), part.message);
  joined_bytes_ += part.message.size();
  if (kind == FrameKind::part) return;
  in_parts_ = false;
  const auto joined = Bytes(joined_);
  on_message({.received_header = joined.first(header_bytes), .message = joined.subspan(header_bytes, joined_bytes_)});
  shm::wipe(std::span(joined_).first(header_bytes + joined_bytes_));
}

}  // namespace tlsmux::engine::message
