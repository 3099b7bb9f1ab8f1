// SPDX-License-Identifier: Apache-2.0
//
// Puts the XDP program on interfaces, beside other XDP programs through libxdp's dispatcher, and takes it off
// again.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/fd.h"
#include "dataplane/base/result.h"
#include "dataplane/packet/target.h"

namespace sluice {

class XdpMaps;

enum class XdpMode : u8 { native, generic };
const char* xdp_mode_name(XdpMode mode);  // "native", "generic"

// How the program got onto an interface, for status and metrics.
struct XdpAttachment {
    std::string interface;
    u32 ifindex = 0;
    XdpMode mode = XdpMode::native;
    bool dispatcher = false;  // through libxdp's dispatcher; else by a link of our own
    bool adopted = false;     // it was there already, an earlier daemon's, with our maps and the same code
    u32 program_id = 0;
    std::string native_refusal;      // why not native; empty if native
    std::string dispatcher_refusal;  // why not by the dispatcher; empty if by it
};

struct XdpAttachOptions {
    bool allow_generic = true;  // false: `require: xdp_native`
    bool use_dispatcher = true;
};

// Of the program, since it was loaded, while run statistics are on.
struct XdpRunStatistics {
    u64 run_count = 0;
    u64 run_ns = 0;
};

class XdpAttacher {
public:
    // `maps` outlives the attacher.
    explicit XdpAttacher(const XdpMaps& maps);
    ~XdpAttacher();
    XdpAttacher(const XdpAttacher&) = delete;
    XdpAttacher& operator=(const XdpAttacher&) = delete;

    // Native mode first, generic if the driver refuses. A program of an earlier daemon is kept if it runs the
    // same code on the same maps, else replaced. Attached programs outlive this process. The error has the
    // kernel's words.
    Result<XdpAttachment> attach(const std::string& interface, u32 ifindex,
                                 const XdpAttachOptions& options = {});

    // Takes our program, and only ours, off the interface. A device that has gone is fine.
    Status detach(const std::string& interface, u32 ifindex);

    // From every interface of this network namespace, those of earlier daemons included.
    Status detach_everywhere();

    const std::vector<XdpAttachment>& attachments() const { return attachments_; }

    // Sums over our loaded programs; zero while statistics are off (see XdpRunStatisticsSwitch).
    XdpRunStatistics run_statistics() const;

private:
    struct Programs;
    struct Present;

    Status load();
    Present find_present(const std::string& interface, u32 ifindex) const;
    bool is_current(u32 program_id) const;
    bool adopt(const Present& present, XdpAttachment& attachment);
    bool update_link(const std::string& interface, XdpAttachment& attachment);
    Status attach_component(XdpAttachment& attachment, XdpMode mode);
    Status attach_link(XdpAttachment& attachment, XdpMode mode);
    Status attach_anew(XdpAttachment& attachment, const XdpAttachOptions& options);
    Status detach_alone(const std::string& interface, u32 ifindex) const;
    Status detach_components(u32 ifindex, const std::vector<u32>& ids) const;
    std::string link_pin(const std::string& interface) const;

    const XdpMaps& maps_;
    std::unique_ptr<Programs> programs_;
    std::vector<XdpAttachment> attachments_;
    std::map<std::string, UniqueFd> links_;  // held, so that the program stays when somebody removes its pin
    std::string dispatcher_unusable_;        // why, once that is known; the same for every interface
};

}  // namespace sluice
