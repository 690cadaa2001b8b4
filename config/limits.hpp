#pragma once

// Every fixed bound of the system, in one place, with the relations that must hold between them.

#include <cstddef>
#include <cstdint>

namespace tlsmux::config {

inline constexpr std::uint32_t kGroupsMax = 64;
inline constexpr std::uint32_t kUpstreamsMax = 256;
inline constexpr std::uint32_t kEndpointsPerUpstreamMax = 16;
inline constexpr std::uint32_t kSessionsPerUpstreamMax = 64;
inline constexpr std::uint32_t kSessionsMax = 1024;

inline constexpr std::uint32_t kClientsPerGroupMax = 4096;
inline constexpr std::uint32_t kChannelsPerClientMax = 64;  // one bit each in the ready word
inline constexpr std::uint32_t kSlotsPerChannelMin = 2;     // a request and its answer
inline constexpr std::uint32_t kSlotsPerChannelMax = 4096;
inline constexpr std::uint32_t kSlotBytesMin = 64;
inline constexpr std::uint32_t kSlotBytesMax = 1U << 20;
inline constexpr std::uint64_t kClientMemoryBytesMax = 1ULL << 30;
// What rings, slot words, headers and alignment add to the slots themselves, at the most.
inline constexpr std::uint32_t kSlotOverheadBytesMax = 512;
inline constexpr std::uint32_t kChannelOverheadBytesMax = 8192;
inline constexpr std::uint32_t kClientOverheadBytesMax = 8192;

inline constexpr std::uint32_t kShardsMax = 16;       // data loops of one engine
inline constexpr std::uint32_t kCpuNumberMax = 1023;  // as in cpu_set_t

inline constexpr std::uint32_t kRequestsInFlightMax = 1U << 17;  // in one engine
inline constexpr std::uint32_t kSessionInFlightMax = 1U << 14;
inline constexpr std::uint32_t kQueueMax = 1U << 16;

inline constexpr std::uint32_t kEndpointPriorityMax = 65'535;  // as in RFC 2782
inline constexpr std::uint32_t kEndpointWeightMax = 65'535;
inline constexpr std::uint32_t kOrphansMax = 1U << 16;             // kept for each group
inline constexpr std::uint32_t kHostRequestsKept = 256;            // of each upstream, to be replied to
inline constexpr std::uint32_t kNoticesWaitingMax = 256;           // of each group, upstream and kind
inline constexpr std::uint32_t kNoticeBytesWaitingMax = 1U << 20;  // of these, beyond the first
inline constexpr std::uint32_t kOrphanAgeSMax = 7U * 24 * 60 * 60;
inline constexpr std::uint32_t kTraceNumberMax = 999'999'999;
inline constexpr std::uint32_t kTraceNumberBlockMax = 4096;
inline constexpr std::uint32_t kTraceNumberBlocksMin = 16;  // in the whole range
inline constexpr std::uint32_t kHeartbeatMissesMax = 100;
inline constexpr std::uint32_t kRotationAgeSMax = 366U * 24 * 60 * 60;
inline constexpr std::uint64_t kRotationMessagesMax = 1'000'000'000'000;
inline constexpr std::uint32_t kSignOnMessagesMax = 16;
inline constexpr std::uint32_t kAutoRepliesMax = 32;

inline constexpr std::uint32_t kPinsMax = 16;
inline constexpr std::uint32_t kAlpnMax = 16;
inline constexpr std::uint32_t kAlpnBytesMax = 255;  // RFC 7301 section 3.1
inline constexpr std::uint32_t kSuitesMax = 32;
inline constexpr std::uint32_t kKeyExchangeGroupsMax = 16;
inline constexpr std::uint32_t kTlsNameBytesMax = 63;  // of a suite or key exchange group

inline constexpr std::uint32_t kFieldNumberMin = 2;  // field 1 is the second bitmap
inline constexpr std::uint32_t kFieldNumberMax = 192;
inline constexpr std::uint32_t kFieldValuesMax = 190;  // in a message that the engine makes
inline constexpr std::uint32_t kFieldValueBytesMax = 999;
inline constexpr std::uint32_t kKeyFieldsMax = 16;
inline constexpr std::uint32_t kKeyRulesMax = 32;
inline constexpr std::uint32_t kKeyPaddingMax = 32;
inline constexpr std::uint32_t kMessageHeaderBytesMax = 255;

inline constexpr std::uint32_t kKeepaliveSMax = 32'767;  // of the kernel
inline constexpr std::uint32_t kKeepaliveCountMax = 127;

inline constexpr std::uint32_t kWorkerThreadsMax = 64;
inline constexpr std::uint32_t kAccountsPerGroupMax = 256;  // entries in `users`, and in `unix_groups`

inline constexpr std::uint32_t kStaticPortsPerGroupMax = 1024;
inline constexpr std::uint32_t kPortRangesPerGroupMax = 64;
inline constexpr std::uint32_t kPortsPerGroupMax = 1U << 15;  // of both protocols together
inline constexpr std::uint32_t kPortLeasesMax = 32;           // of one process and protocol
inline constexpr std::uint32_t kPortLabelBytesMax = 63;
inline constexpr std::uint32_t kPortLabelsMax = 1024;  // of dynamic ports, remembered for a group
inline constexpr std::uint32_t kProgramBytesMax = 15;  // as in /proc/PID/comm
inline constexpr std::uint32_t kReuseDelayMsMax = 60U * 60 * 1000;
inline constexpr std::uint32_t kPortSweepMsMin = 10;
inline constexpr std::uint32_t kPortSweepMsMax = 60'000;

inline constexpr std::uint32_t kStreamsMax = 1U << 14;  // open at one time to one upstream
inline constexpr std::uint32_t kStreamBufferBytesMin = 16'384;
inline constexpr std::uint32_t kStreamBufferBytesMax = 1U << 24;
inline constexpr std::uint64_t kStreamBuffersBytesMax = 1ULL << 32;  // of all streams to one upstream
inline constexpr std::uint32_t kHttpHeadBytesMax = 1U << 16;         // of one message; longer ones are not understood
inline constexpr std::uint32_t kHttpUnansweredMax = 1024;            // requests on one connection
inline constexpr std::uint32_t kSslWrapperRulesMax = 256;

inline constexpr std::uint32_t kNameBytesMax = 63;  // without the terminating zero
inline constexpr std::uint32_t kCorrelationKeyBytesMax = 64;

// Bytes of a request that the engine copies to private memory before it reads a key out of them.
inline constexpr std::uint32_t kKeyPrefixBytesMax = 1024;

// What stands around a message on the wire.
inline constexpr std::uint32_t kLengthHeaderBytesMax = 8;    // the length itself
inline constexpr std::uint32_t kFramingPartBytesMax = 8;     // each of before_length, start, trailer, delimiter, ...
inline constexpr std::uint32_t kFramingHeaderBytesMax = 32;  // such as a TPDU
inline constexpr std::int32_t kLengthAdjustMax = 1024;       // either way
inline constexpr std::uint32_t kFrameHeaderBytesMax =        // all that stands before a message
    kLengthHeaderBytesMax + 2 * kFramingPartBytesMax + kFramingHeaderBytesMax;
inline constexpr std::uint32_t kFrameTrailerBytesMax = 2 * kFramingPartBytesMax;  // all that stands behind it
// Private copies of whole messages, where a message must be searched before it is sent. In one engine.
inline constexpr std::uint64_t kPrivateCopyBytesMax = 1ULL << 30;
inline constexpr std::uint32_t kTlsPlaintextBytesMax = 16384;  // RFC 8446 section 5.1
inline constexpr std::uint32_t kTimeoutMsMax = 24U * 60 * 60 * 1000;

inline constexpr std::uint32_t kAccountBytesMax = 255;     // of a user's or Unix group's name
inline constexpr std::uint32_t kHostLabelBytesMax = 63;    // RFC 1035 section 2.3.4
inline constexpr std::uint32_t kHostBytesMax = 253;        // RFC 1035 section 2.3.4, without the final dot
inline constexpr std::uint32_t kPathBytesMax = 4095;       // PATH_MAX without the terminating zero
inline constexpr std::uint32_t kSocketPathBytesMax = 107;  // of sun_path, without the terminating zero
inline constexpr std::uint32_t kConfigFileBytesMax = 4U << 20;
inline constexpr std::uint32_t kConfigDepthMax = 32;               // objects and arrays within each other
inline constexpr std::uint32_t kConfigBundleBytesMax = 16U << 20;  // a configuration with the files it names

static_assert(kChannelsPerClientMax <= 64, "the ready word has 64 bits");
static_assert(kSlotsPerChannelMin % 2 == 0 && kSlotsPerChannelMax % 2 == 0);
static_assert(kCorrelationKeyBytesMax <= kKeyPrefixBytesMax);
static_assert(kStreamBufferBytesMax >= kSlotBytesMax + kFrameHeaderBytesMax + kFrameTrailerBytesMax);
static_assert(kSessionsPerUpstreamMax <= kSessionsMax);

}  // namespace tlsmux::config
