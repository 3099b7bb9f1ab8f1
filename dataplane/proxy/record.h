// SPDX-License-Identifier: Apache-2.0
//
// A connection as it is shown: in the table of connections, live or closed, and in the access log.
#pragma once

#include <vector>

#include "dataplane/proxy/counters.h"
#include "dataplane/proxy/socket_address.h"

namespace sluice::proxy {

// ENTRY(identifier, name)
#define SLUICE_CONNECTION_STATES(ENTRY)                                    \
    ENTRY(header, "header")           /* its PROXY header is being read */ \
    ENTRY(connecting, "connecting")   /* to the backend */                 \
    ENTRY(established, "established") /* both directions open */           \
    ENTRY(half_closed, "half_closed") /* one direction has ended */        \
    ENTRY(session, "session")         /* UDP */                            \
    ENTRY(closed, "closed")

#define SLUICE_ENUM_STATE(id, name) id,
enum class ConnectionState : u8 { SLUICE_CONNECTION_STATES(SLUICE_ENUM_STATE) };
#undef SLUICE_ENUM_STATE

const char* state_name(ConnectionState state);

enum { CLIENT = 0, BACKEND = 1 };

struct SideRecord {
    Endpoint local;  // our address and port on this side
    Endpoint remote;
    Endpoint peer;              // of the socket, where a PROXY header names another client; else as remote
    u64 bytes_read = 0;         // from its socket
    u64 bytes_written = 0;      // to its socket
    u32 buffered = 0;           // bytes read from it that the other side did not take yet
    u32 buffer_size = 0;        // bytes of memory that hold them
    u32 buffer_capacity = 0;    // bytes that may be read at once, and held
    u32 high_water = 0;         // times that it was not read because the other side fell behind
    bool read_closed = false;   // it sent its end
    bool write_closed = false;  // we sent ours
};

// At least 1: 0 stands for none yet, and the loop's clock stands still within a turn.
inline u64 time_to_first_byte(u64 start_ns, u64 now_ns) { return now_ns > start_ns ? now_ns - start_ns : 1; }

struct Record {
    u64 id = 0;
    const char* service = "";
    u8 protocol = 6;
    ConnectionState state = ConnectionState::connecting;
    Ending ending = Ending::open;
    u8 first_sender = 255;  // CLIENT or BACKEND; 255: nobody has sent yet
    u8 tries = 0;           // backends tried
    u32 rule = 0;           // position + 1 of the rule that decided; 0: the default
    u32 dry_run = 0;        // the same of the one in dry run that would have; 0: none
    u32 thread = 0;
    u64 start_ns = 0;  // since 1970
    u64 duration_ns = 0;
    u64 connect_ns = 0;     // 0: not connected
    u64 first_byte_ns = 0;  // of the backend's, since the start; 0: none yet
    u64 closed_at_ns = 0;   // CLOCK_MONOTONIC; 0: live
    SideRecord side[2];
};

// The last closed connections: as many as it holds, and none older than asked for. Single-threaded.
class ClosedRecords {
public:
    explicit ClosedRecords(u32 capacity) : capacity_(capacity) {}

    // True when a record younger than `keep_ns` had to go.
    bool add(const Record& record, u64 keep_ns);
    // Oldest first, those closed at or after `since`.
    void copy(u64 since, std::vector<Record>& out) const;
    size_t bytes() const { return records_.capacity() * sizeof(Record); }

private:
    u32 capacity_;
    std::vector<Record> records_;
    size_t next_ = 0;  // where the next one goes once full
};

}  // namespace sluice::proxy
