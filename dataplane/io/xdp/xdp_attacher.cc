// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/xdp/xdp_attacher.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include <algorithm>
#include <cerrno>

#include "dataplane/base/fd.h"
#include "dataplane/base/log.h"
#include "dataplane/io/xdp/kernel_words.h"
#include "dataplane/io/xdp/program_info.h"
#include "dataplane/io/xdp/xdp_maps.h"
#include "dataplane/io/xdp/xdp_skeleton.h"

namespace sluice {
namespace {

struct MultiprogClose {
    void operator()(xdp_multiprog* mp) const { xdp_multiprog__close(mp); }
};
using Multiprog = std::unique_ptr<xdp_multiprog, MultiprogClose>;

// What is attached to the device, or nothing.
Multiprog multiprog_of(u32 ifindex) {
    xdp_multiprog* mp = xdp_multiprog__get_from_ifindex(static_cast<int>(ifindex));
    return Multiprog(libxdp_get_error(mp) != 0 ? nullptr : mp);
}

xdp_attach_mode libxdp_mode(XdpMode mode) { return mode == XdpMode::native ? XDP_MODE_NATIVE : XDP_MODE_SKB; }

bool is_ours(const xdp_program* program) {
    const char* name = program == nullptr ? nullptr : xdp_program__name(program);
    return name != nullptr && std::string_view(name) == xdp_program_name;
}

std::string why(int code, const KernelWords& words) {
    return system_error(code, "{}", words.text().empty() ? "kernel" : words.text()).message;
}

}  // namespace

const char* xdp_mode_name(XdpMode mode) { return mode == XdpMode::native ? "native" : "generic"; }

// The same code twice: loaded as an XDP program of its own, for what the dispatcher cannot do and to know the
// code's tag; and as a component of dispatchers, which libxdp loads with the first interface. Both use the
// maps of XdpMaps.
struct XdpAttacher::Programs {
    std::unique_ptr<SkeletonHandle> plain;
    std::unique_ptr<SkeletonHandle> component_object;
    xdp_program* component = nullptr;
    std::vector<u32> map_ids;
    std::string tag;

    ~Programs() { xdp_program__close(component); }
    int plain_fd() const { return bpf_program__fd(plain->program()); }
};

// Programs of ours that are on a device now.
struct XdpAttacher::Present {
    std::vector<u32> components;  // in a dispatcher
    u32 alone = 0;                // attached directly
    XdpMode mode = XdpMode::native;
};

XdpAttacher::XdpAttacher(const XdpMaps& maps) : maps_(maps) {}
XdpAttacher::~XdpAttacher() = default;

std::string XdpAttacher::link_pin(const std::string& interface) const {
    std::string name = interface;
    std::replace(name.begin(), name.end(), '.', ':');  // BPF file systems take no dots, interfaces no colons
    return fmt::format("{}/{}{}", maps_.directory(), link_pin_prefix, name);
}

Status XdpAttacher::load() {
    if (programs_) return {};
    auto programs = std::make_unique<Programs>();
    auto plain = open_skeleton(maps_);
    if (!plain) return plain.error();
    const KernelWords words;
    if (const int code = bpf_object__load((*plain)->object()); code != 0)
        return make_error("XDP program {}: the kernel does not load it: {}", xdp_program_name,
                          why(code, words));
    programs->plain = *std::move(plain);
    auto component = open_skeleton(maps_);
    if (!component) return component.error();
    programs->component_object = *std::move(component);
    auto info = program_info(programs->plain_fd());
    if (!info) return info.error().with_context("XDP program");
    programs->tag = info->tag;
    programs->map_ids = info->map_ids;
    const std::string pin = fmt::format("{}/{}", maps_.directory(), xdp_program_name);
    unlink(pin.c_str());
    if (bpf_obj_pin(programs->plain_fd(), pin.c_str()) != 0)
        return system_error(errno, "XDP program: cannot pin it at {}", pin);
    programs_ = std::move(programs);
    return {};
}

XdpAttacher::Present XdpAttacher::find_present(const std::string& interface, u32 ifindex) const {
    const KernelWords unheard;
    Present present;
    const Multiprog mp = multiprog_of(ifindex);
    if (!mp) return present;
    present.mode = xdp_multiprog__attach_mode(mp.get()) == XDP_MODE_SKB ? XdpMode::generic : XdpMode::native;
    if (xdp_multiprog__is_legacy(mp.get())) {
        const xdp_program* main = xdp_multiprog__main_prog(mp.get());
        if (is_ours(main)) present.alone = xdp_program__id(main);
        return present;
    }
    const xdp_program* program = nullptr;
    while ((program = xdp_multiprog__next_prog(program, mp.get())) != nullptr) {
        if (is_ours(program)) present.components.push_back(xdp_program__id(program));
    }
    spdlog::debug("interface {}: {} programs in the dispatcher, {} ours", interface,
                  xdp_multiprog__program_count(mp.get()), present.components.size());
    return present;
}

// Same code and same maps as ours.
bool XdpAttacher::is_current(u32 program_id) const {
    const UniqueFd fd(bpf_prog_get_fd_by_id(program_id));
    if (!fd) return false;
    const auto info = program_info(fd.get());
    return info && info->tag == programs_->tag && info->shares_maps(programs_->map_ids);
}

bool XdpAttacher::adopt(const Present& present, XdpAttachment& attachment) {
    if (present.components.size() == 1 && is_current(present.components.front())) {
        attachment.dispatcher = true;
        attachment.program_id = present.components.front();
    } else if (present.alone != 0 && is_current(present.alone)) {
        if (UniqueFd link(bpf_obj_get(link_pin(attachment.interface).c_str())); link)
            links_[attachment.interface] = std::move(link);
        attachment.dispatcher_refusal = "attached without it by an earlier daemon";
        attachment.program_id = present.alone;
    } else {
        return false;
    }
    attachment.mode = present.mode;
    if (present.mode == XdpMode::generic)
        attachment.native_refusal = "attached in generic mode by an earlier daemon";
    attachment.adopted = true;
    return true;
}

// Puts our program into an earlier daemon's link, without a gap. False if there is no link of use.
bool XdpAttacher::update_link(const std::string& interface, XdpAttachment& attachment) {
    UniqueFd link(bpf_obj_get(link_pin(interface).c_str()));
    if (!link) return false;
    if (bpf_link_update(link.get(), programs_->plain_fd(), nullptr) != 0) {
        unlink(link_pin(interface).c_str());  // its device has gone
        return false;
    }
    attachment.dispatcher_refusal = "an earlier daemon's link was taken over";
    attachment.program_id = program_id(programs_->plain_fd());
    links_[interface] = std::move(link);
    return true;
}

Status XdpAttacher::attach_component(XdpAttachment& attachment, XdpMode mode) {
    const KernelWords words;
    if (programs_->component == nullptr) {
        DECLARE_LIBXDP_OPTS(xdp_program_opts, options, .obj = programs_->component_object->object(),
                            .prog_name = xdp_program_name);
        xdp_program* component = xdp_program__create(&options);
        if (const long code = libxdp_get_error(component); code != 0)
            return make_error("{}", why(static_cast<int>(code), words));
        programs_->component = component;
    }
    const int ifindex = static_cast<int>(attachment.ifindex);
    if (const int code = xdp_program__attach(programs_->component, ifindex, libxdp_mode(mode), 0); code != 0)
        return make_error("{}", why(code, words));
    attachment.mode = mode;
    attachment.program_id = xdp_program__id(programs_->component);
    const Multiprog mp = multiprog_of(attachment.ifindex);
    attachment.dispatcher = mp != nullptr && !xdp_multiprog__is_legacy(mp.get());
    if (attachment.dispatcher) return {};
    // libxdp makes do without a dispatcher; a link of our own can be pinned and replaced without a gap.
    xdp_program__detach(programs_->component, ifindex, libxdp_mode(mode), 0);
    dispatcher_unusable_ = "the kernel does not load libxdp's dispatcher" + words.suffix();
    return make_error("{}", dispatcher_unusable_);
}

Status XdpAttacher::attach_link(XdpAttachment& attachment, XdpMode mode) {
    const KernelWords words;
    LIBBPF_OPTS(bpf_link_create_opts, options,
                .flags = mode == XdpMode::native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
    UniqueFd link(
        bpf_link_create(programs_->plain_fd(), static_cast<int>(attachment.ifindex), BPF_XDP, &options));
    if (!link) return make_error("{}", why(errno, words));
    const std::string pin = link_pin(attachment.interface);
    unlink(pin.c_str());
    if (bpf_obj_pin(link.get(), pin.c_str()) != 0)
        return system_error(errno, "cannot pin the link at {}", pin);
    links_[attachment.interface] = std::move(link);
    attachment.mode = mode;
    attachment.program_id = program_id(programs_->plain_fd());
    return {};
}

// Native by the dispatcher, native alone, generic by the dispatcher, generic alone.
Status XdpAttacher::attach_anew(XdpAttachment& attachment, const XdpAttachOptions& options) {
    std::string refusals;
    for (const XdpMode mode : {XdpMode::native, XdpMode::generic}) {
        if (mode == XdpMode::generic && !options.allow_generic) break;
        Status by_dispatcher = make_error("not wanted");
        if (!dispatcher_unusable_.empty())
            by_dispatcher = make_error("{}", dispatcher_unusable_);
        else if (options.use_dispatcher)
            by_dispatcher = attach_component(attachment, mode);
        if (by_dispatcher) return {};
        attachment.dispatcher_refusal = by_dispatcher.error().message;
        const Status alone = attach_link(attachment, mode);
        if (alone) return {};
        // The dispatcher's attempt goes by netlink, whose answer has the driver's own words.
        const bool asked = options.use_dispatcher && dispatcher_unusable_.empty();
        const std::string refusal = asked ? by_dispatcher.error().message : alone.error().message;
        if (mode == XdpMode::native) attachment.native_refusal = refusal;
        refusals += fmt::format("{}{} mode: {}; alone: {}", refusals.empty() ? "" : "; ", xdp_mode_name(mode),
                                by_dispatcher.error().message, alone.error().message);
    }
    return make_error("interface {}: XDP refused: {}", attachment.interface, refusals);
}

Status XdpAttacher::detach_components(u32 ifindex, const std::vector<u32>& ids) const {
    for (const u32 id : ids) {
        const KernelWords words;
        const Multiprog mp = multiprog_of(ifindex);
        if (!mp) return {};
        const xdp_program* program = nullptr;
        while ((program = xdp_multiprog__next_prog(program, mp.get())) != nullptr &&
               xdp_program__id(program) != id) {
        }
        if (program == nullptr) continue;
        const auto mode = xdp_multiprog__attach_mode(mp.get());
        const int code =
            xdp_program__detach(const_cast<xdp_program*>(program), static_cast<int>(ifindex), mode, 0);
        if (code != 0)
            return make_error("device {}: program {} stays in the dispatcher: {}", ifindex, id,
                              why(code, words));
    }
    return {};
}

Result<XdpAttachment> XdpAttacher::attach(const std::string& interface, u32 ifindex,
                                          const XdpAttachOptions& options) {
    if (auto loaded = load(); !loaded) return loaded.error();
    XdpAttachment attachment;
    attachment.interface = interface;
    attachment.ifindex = ifindex;
    const Present present = find_present(interface, ifindex);
    const bool acceptable = options.allow_generic || present.mode == XdpMode::native;
    if (acceptable &&
        (adopt(present, attachment) || (present.alone != 0 && update_link(interface, attachment)))) {
        if (!attachment.adopted) attachment.mode = present.mode;
    } else {
        const bool same_place = options.use_dispatcher && acceptable && present.alone == 0;
        // Where old and new cannot stand side by side the old one goes first.
        if (!same_place && (present.alone != 0 || !present.components.empty())) {
            if (auto off = detach(interface, ifindex); !off) return off.error();
        }
        if (auto attached = attach_anew(attachment, options); !attached) return attached.error();
        if (same_place) {
            if (auto off = detach_components(ifindex, present.components); !off) return off.error();
        }
    }
    std::erase_if(attachments_, [&](const XdpAttachment& other) { return other.interface == interface; });
    attachments_.push_back(attachment);
    return attachment;
}

Status XdpAttacher::detach_alone(const std::string& interface, u32 ifindex) const {
    const std::string pin = link_pin(interface);
    if (const UniqueFd link(bpf_obj_get(pin.c_str())); link)
        bpf_link_detach(link.get());  // else it stays for as long as somebody else holds it
    if (unlink(pin.c_str()) != 0 && errno != ENOENT)
        return system_error(errno, "interface {}: cannot remove {}", interface, pin);
    const Present present = find_present(interface, ifindex);
    if (present.alone == 0) return {};
    const UniqueFd program(bpf_prog_get_fd_by_id(present.alone));
    LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = program.get());
    const u32 flags = present.mode == XdpMode::native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
    if (const int code = bpf_xdp_detach(static_cast<int>(ifindex), flags, &options); code != 0)
        return system_error(code, "interface {}: XDP program {} cannot be taken off", interface,
                            present.alone);
    return {};
}

Status XdpAttacher::detach(const std::string& interface, u32 ifindex) {
    links_.erase(interface);
    const Present present = find_present(interface, ifindex);
    if (auto off = detach_components(ifindex, present.components); !off) return off;
    if (auto off = detach_alone(interface, ifindex); !off) return off;
    std::erase_if(attachments_, [&](const XdpAttachment& other) { return other.interface == interface; });
    return {};
}

Status XdpAttacher::detach_everywhere() {
    Status first;
    struct if_nameindex* const all = if_nameindex();
    if (all == nullptr) return system_error(errno, "list of interfaces");
    for (const struct if_nameindex* at = all; at->if_index != 0; ++at) {
        auto off = detach(at->if_name, at->if_index);
        if (!off && first) first = off;
    }
    if_freenameindex(all);
    attachments_.clear();
    return first;
}

XdpRunStatistics XdpAttacher::run_statistics() const {
    XdpRunStatistics sum;
    std::vector<u32> counted;
    for (const XdpAttachment& attachment : attachments_) {
        if (std::find(counted.begin(), counted.end(), attachment.program_id) != counted.end()) continue;
        counted.push_back(attachment.program_id);
        const UniqueFd fd(bpf_prog_get_fd_by_id(attachment.program_id));
        if (!fd) continue;
        if (const auto info = program_info(fd.get())) {
            sum.run_count += info->run_count;
            sum.run_ns += info->run_ns;
        }
    }
    return sum;
}

}  // namespace sluice
