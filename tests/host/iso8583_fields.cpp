#include "tests/host/iso8583_fields.hpp"

#include <array>

#include "shm/assert.hpp"

namespace tlsmux::host {
namespace {

using enum FieldKind;

// ISO 8583:1987, table of data elements. Elements 44 to 48 and 54 are "an" there; the field's implementations
// send punctuation and spaces in them, so they are text here. Elements 52, 64, 65, 96 and 128 are 8 bytes of
// binary.
constexpr std::array<FieldSpec, kFieldMax + 1> kFields = {{
    {},                       // 0: the message type, not a field
    {},                       // 1: the secondary bitmap
    {numeric, 2, 19},         // 2 primary account number
    {numeric, 0, 6},          // 3 processing code
    {numeric, 0, 12},         // 4 amount, transaction
    {numeric, 0, 12},         // 5 amount, settlement
    {numeric, 0, 12},         // 6 amount, cardholder billing
    {month_day_time, 0, 10},  // 7 transmission date and time
    {numeric, 0, 8},          // 8 amount, cardholder billing fee
    {numeric, 0, 8},          // 9 conversion rate, settlement
    {numeric, 0, 8},          // 10 conversion rate, cardholder billing
    {numeric, 0, 6},          // 11 system trace audit number
    {time, 0, 6},             // 12 time, local transaction
    {month_day, 0, 4},        // 13 date, local transaction
    {year_month, 0, 4},       // 14 date, expiration
    {month_day, 0, 4},        // 15 date, settlement
    {month_day, 0, 4},        // 16 date, conversion
    {month_day, 0, 4},        // 17 date, capture
    {numeric, 0, 4},          // 18 merchant's type
    {numeric, 0, 3},          // 19 acquiring institution country code
    {numeric, 0, 3},          // 20 primary account number extended, country code
    {numeric, 0, 3},          // 21 forwarding institution country code
    {numeric, 0, 3},          // 22 point of service entry mode
    {numeric, 0, 3},          // 23 card sequence number
    {numeric, 0, 3},          // 24 network international identifier
    {numeric, 0, 2},          // 25 point of service condition code
    {numeric, 0, 2},          // 26 point of service PIN capture code
    {numeric, 0, 1},          // 27 authorization identification response length
    {signed_amount, 0, 9},    // 28 amount, transaction fee
    {signed_amount, 0, 9},    // 29 amount, settlement fee
    {signed_amount, 0, 9},    // 30 amount, transaction processing fee
    {signed_amount, 0, 9},    // 31 amount, settlement processing fee
    {numeric, 2, 11},         // 32 acquiring institution identification code
    {numeric, 2, 11},         // 33 forwarding institution identification code
    {text, 2, 28},            // 34 primary account number, extended
    {track, 2, 37},           // 35 track 2 data
    {track, 3, 104},          // 36 track 3 data
    {alphanumeric, 0, 12},    // 37 retrieval reference number
    {alphanumeric, 0, 6},     // 38 authorization identification response
    {alphanumeric, 0, 2},     // 39 response code
    {alphanumeric, 0, 3},     // 40 service restriction code
    {text, 0, 8},             // 41 card acceptor terminal identification
    {text, 0, 15},            // 42 card acceptor identification code
    {text, 0, 40},            // 43 card acceptor name and location
    {text, 2, 25},            // 44 additional response data
    {text, 2, 76},            // 45 track 1 data
    {text, 3, 999},           // 46 additional data, ISO
    {text, 3, 999},           // 47 additional data, national
    {text, 3, 999},           // 48 additional data, private
    {alphanumeric, 0, 3},     // 49 currency code, transaction
    {alphanumeric, 0, 3},     // 50 currency code, settlement
    {alphanumeric, 0, 3},     // 51 currency code, cardholder billing
    {hexadecimal, 0, 16},     // 52 personal identification number data
    {numeric, 0, 16},         // 53 security related control information
    {text, 3, 120},           // 54 additional amounts
    {text, 3, 999},           // 55 reserved, ISO
    {text, 3, 999},           // 56 reserved, ISO
    {text, 3, 999},           // 57 reserved, national
    {text, 3, 999},           // 58 reserved, national
    {text, 3, 999},           // 59 reserved, national
    {text, 3, 999},           // 60 reserved, private
    {text, 3, 999},           // 61 reserved, private
    {text, 3, 999},           // 62 reserved, private
    {text, 3, 999},           // 63 reserved, private
    {hexadecimal, 0, 16},     // 64 message authentication code
    {hexadecimal, 0, 16},     // 65 bitmap, extended
    {numeric, 0, 1},          // 66 settlement code
    {numeric, 0, 2},          // 67 extended payment code
    {numeric, 0, 3},          // 68 receiving institution country code
    {numeric, 0, 3},          // 69 settlement institution country code
    {numeric, 0, 3},          // 70 network management information code
    {numeric, 0, 4},          // 71 message number
    {numeric, 0, 4},          // 72 message number, last
    {numeric, 0, 6},          // 73 date, action
    {numeric, 0, 10},         // 74 credits, number
    {numeric, 0, 10},         // 75 credits, reversal number
    {numeric, 0, 10},         // 76 debits, number
    {numeric, 0, 10},         // 77 debits, reversal number
    {numeric, 0, 10},         // 78 transfers, number
    {numeric, 0, 10},         // 79 transfers, reversal number
    {numeric, 0, 10},         // 80 inquiries, number
    {numeric, 0, 10},         // 81 authorizations, number
    {numeric, 0, 12},         // 82 credits, processing fee amount
    {numeric, 0, 12},         // 83 credits, transaction fee amount
    {numeric, 0, 12},         // 84 debits, processing fee amount
    {numeric, 0, 12},         // 85 debits, transaction fee amount
    {numeric, 0, 16},         // 86 credits, amount
    {numeric, 0, 16},         // 87 credits, reversal amount
    {numeric, 0, 16},         // 88 debits, amount
    {numeric, 0, 16},         // 89 debits, reversal amount
    {numeric, 0, 42},         // 90 original data elements
    {alphanumeric, 0, 1},     // 91 file update code
    {alphanumeric, 0, 2},     // 92 file security code
    {alphanumeric, 0, 5},     // 93 response indicator
    {alphanumeric, 0, 7},     // 94 service indicator
    {alphanumeric, 0, 42},    // 95 replacement amounts
    {hexadecimal, 0, 16},     // 96 message security code
    {signed_amount, 0, 17},   // 97 amount, net settlement
    {text, 0, 25},            // 98 payee
    {numeric, 2, 11},         // 99 settlement institution identification code
    {numeric, 2, 11},         // 100 receiving institution identification code
    {text, 2, 17},            // 101 file name
    {text, 2, 28},            // 102 account identification 1
    {text, 2, 28},            // 103 account identification 2
    {text, 3, 100},           // 104 transaction description
    {text, 3, 999},           // 105 reserved, ISO
    {text, 3, 999},           // 106 reserved, ISO
    {text, 3, 999},           // 107 reserved, ISO
    {text, 3, 999},           // 108 reserved, ISO
    {text, 3, 999},           // 109 reserved, ISO
    {text, 3, 999},           // 110 reserved, ISO
    {text, 3, 999},           // 111 reserved, ISO
    {text, 3, 999},           // 112 reserved, national
    {text, 3, 999},           // 113 reserved, national
    {text, 3, 999},           // 114 reserved, national
    {text, 3, 999},           // 115 reserved, national
    {text, 3, 999},           // 116 reserved, national
    {text, 3, 999},           // 117 reserved, national
    {text, 3, 999},           // 118 reserved, national
    {text, 3, 999},           // 119 reserved, national
    {text, 3, 999},           // 120 reserved, private
    {text, 3, 999},           // 121 reserved, private
    {text, 3, 999},           // 122 reserved, private
    {text, 3, 999},           // 123 reserved, private
    {text, 3, 999},           // 124 reserved, private
    {text, 3, 999},           // 125 reserved, private
    {text, 3, 999},           // 126 reserved, private
    {text, 3, 999},           // 127 reserved, private
    {hexadecimal, 0, 16},     // 128 message authentication code
}};

}  // namespace

const FieldSpec& field_spec(unsigned number) {
  TMX_ASSERT(number >= 2);
  TMX_ASSERT(number <= kFieldMax);
  return kFields[number];
}

}  // namespace tlsmux::host
