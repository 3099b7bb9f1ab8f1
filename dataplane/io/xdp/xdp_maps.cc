// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/xdp/xdp_maps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>

#include <cerrno>

#include "dataplane/base/clock.h"
#include "dataplane/io/xdp/bpffs.h"
#include "dataplane/io/xdp/kernel_words.h"
#include "dataplane/io/xdp/pinned_text.h"
#include "dataplane/io/xdp/xdp_skeleton.h"

namespace sluice {
namespace {

// What a later daemon finds in the pinned maps. Whoever changes one of these numbers, or the meaning of a
// field, raises LAYOUT_VERSION, so that maps of another layout are not adopted.
static_assert(LAYOUT_VERSION == 5 && sizeof(node_state) == 299624 && sizeof(flow) == 64 &&
                  sizeof(flow_addresses) == 48 && sizeof(flow_counters) == 24 &&
                  sizeof(port_counters) == 912 && sizeof(backend_counters) == 40 &&
                  sizeof(pair_counters) == 16 && sizeof(worker_counters) == 72 &&
                  sizeof(source_meter_bucket) == 64 && REASON_COUNT == 43 && PUNT_COUNT == 10 &&
                  VERDICT_COUNT == 9,
              "the layout of pinned maps has changed: raise LAYOUT_VERSION, and state the new numbers here");

std::string privilege_hint(int code) {
    return code == EPERM || code == EACCES ? " (expected root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON)"
                                           : "";
}

Result<bpf_map_info> info_of(int fd) {
    bpf_map_info info{};
    u32 length = sizeof info;
    if (bpf_obj_get_info_by_fd(fd, &info, &length) != 0) return system_error(errno, "BPF_OBJ_GET_INFO_BY_FD");
    return info;
}

// How the pinned map differs from the one wanted, or nothing.
std::string difference(const bpf_map* wanted, const bpf_map_info& found) {
    const auto differs = [](const char* what, u32 is, u32 should) {
        return is == should ? std::string() : fmt::format("{} {} instead of {}", what, is, should);
    };
    std::string text = differs("type", found.type, bpf_map__type(wanted));
    if (text.empty()) text = differs("key size", found.key_size, bpf_map__key_size(wanted));
    if (text.empty()) text = differs("value size", found.value_size, bpf_map__value_size(wanted));
    const u32 size = bpf_map__max_entries(wanted);  // 0: libbpf's choice, a slot per CPU
    if (text.empty() && size != 0) text = differs("size", found.max_entries, size);
    return text;
}

}  // namespace

Result<std::unique_ptr<XdpMaps>> XdpMaps::open(const std::string& directory, const MapSizes& sizes) {
    std::unique_ptr<XdpMaps> maps(new XdpMaps);
    maps->directory_ = directory;
    maps->sizes_ = sizes;
    auto skeleton = open_skeleton(sizes);
    if (!skeleton) return skeleton.error();
    const bpf_map* map = nullptr;
    bpf_object__for_each_map(map, (*skeleton)->object()) {
        if (!bpf_map__is_internal(map)) maps->names_.insert(bpf_map__name(map));
    }
    maps->adopted_ = maps->adopt(**skeleton);
    if (!maps->adopted_) {
        if (auto removed = maps->unpin(); !removed) return removed.error();
        if (auto created = maps->create(**skeleton); !created) return created.error();
    }
    if (auto mapped = maps->map_memory(); !mapped) return mapped.error();
    if (!maps->adopted_) {
        maps->initialize_node();
    } else if (maps->node().layout_version != LAYOUT_VERSION) {
        const u32 found = maps->node().layout_version;
        if (auto removed = maps->unpin(); !removed) return removed.error();
        maps.reset();
        auto fresh = open(directory, sizes);
        if (fresh)
            (*fresh)->note_ = fmt::format("started clean: the pinned maps have layout {}, expected {}", found,
                                          static_cast<u32>(LAYOUT_VERSION));
        return fresh;
    }
    if (auto found = maps->find_image(); !found) return found.error();
    return maps;
}

bool XdpMaps::adopt(const SkeletonHandle& skeleton) {
    std::map<std::string, UniqueFd> found;
    const bpf_map* map = nullptr;
    bpf_object__for_each_map(map, skeleton.object()) {
        if (bpf_map__is_internal(map)) continue;
        const std::string name = bpf_map__name(map);
        UniqueFd fd(bpf_obj_get(fmt::format("{}/{}", directory_, name).c_str()));
        if (!fd) {
            note_ = found.empty() ? "started clean: no maps were pinned"
                                  : fmt::format("started clean: map {} is not pinned", name);
            return false;
        }
        const auto info = info_of(fd.get());
        const std::string text = info ? difference(map, *info) : info.error().message;
        if (!text.empty()) {
            note_ = fmt::format("started clean: pinned map {} has {}", name, text);
            return false;
        }
        found.emplace(name, std::move(fd));
    }
    fds_ = std::move(found);
    note_ = fmt::format("adopted {} pinned maps", fds_.size());
    return true;
}

Status XdpMaps::create(const SkeletonHandle& skeleton) {
    const KernelWords words;
    bpf_program__set_autoload(skeleton.program(), false);
    if (const int code = bpf_object__load(skeleton.object()); code != 0) {
        return system_error(code, "BPF maps for {} flows in {} cannot be created{}{}", sizes_.flows,
                            directory_, privilege_hint(-code), words.suffix());
    }
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, skeleton.object()) {
        if (bpf_map__is_internal(map)) continue;
        const std::string name = bpf_map__name(map);
        const std::string pin = fmt::format("{}/{}", directory_, name);
        UniqueFd fd(fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 3));
        if (!fd) return system_error(errno, "map {}: cannot duplicate its descriptor", name);
        if (bpf_obj_pin(fd.get(), pin.c_str()) != 0)
            return system_error(errno, "map {}: cannot pin it at {}", name, pin);
        fds_.emplace(name, std::move(fd));
    }
    return {};
}

Result<Mapping> XdpMaps::map_array(const std::string& name, size_t value_size, size_t entries) const {
    auto mapped = Mapping::of_fd(fd(name), value_size * entries, PROT_READ | PROT_WRITE, MAP_SHARED);
    return std::move(mapped).with_context(fmt::format("map {}", name));
}

Status XdpMaps::map_memory() {
    const u32 slots = sizes_.flows + FLOW_SCRATCH;
    const struct {
        const char* name;
        Mapping& memory;
        size_t value_size;
        size_t entries;
    } areas[] = {
        {"node", node_, sizeof(node_state), 1},
        {"flow_tags", flow_tags_, sizeof(u64), sizes_.flows / FLOW_BUCKET_SLOTS},
        {"flows", flows_, sizeof(flow), slots},
        {"flow_addresses", flow_addresses_, sizeof(struct flow_addresses), slots},
        {"flow_counters", flow_counters_, sizeof(struct flow_counters), slots},
        {"meters", meters_, sizeof(u64), sizes_.rules},
        {"source_meters", source_meters_, sizeof(source_meter_bucket),
         sizes_.source_meters / METER_BUCKET_SIZE},
    };
    for (const auto& area : areas) {
        auto mapped = map_array(area.name, area.value_size, area.entries);
        if (!mapped) return mapped.error();
        area.memory = *std::move(mapped);
    }
    return {};
}

void XdpMaps::initialize_node() {
    node_state& state = node();
    if (getrandom(&state.flow_seed, sizeof state.flow_seed, 0) != sizeof state.flow_seed)
        state.flow_seed = monotonic_ns() * 0x9e3779b97f4a7c15ULL;
    state.flow_bucket_mask = sizes_.flows / FLOW_BUCKET_SLOTS - 1;
    state.flow_capacity = sizes_.flows;
    state.source_mask = sizes_.source_meters / METER_BUCKET_SIZE - 1;
    state.slot_multiplier = 0x9e3779b1u;
    state.layout_version = LAYOUT_VERSION;
}

int XdpMaps::fd(const std::string& name) const {
    const auto found = fds_.find(name);
    return found == fds_.end() ? -1 : found->second.get();
}

void XdpMaps::fill(struct tables& tables) const {
    tables.node = node_.as<node_state>();
    tables.flow_tags = flow_tags_.as<u64>();
    tables.flows = flows_.as<flow>();
    tables.flow_addresses = flow_addresses_.as<struct flow_addresses>();
    tables.flow_counters = flow_counters_.as<struct flow_counters>();
    tables.meters = meters_.as<u64>();
    tables.source_meters = source_meters_.as<source_meter_bucket>();
}

// The maps', and those that lie beside them: the program, its links, texts.
bool XdpMaps::is_own_pin(const std::string& name) const {
    return names_.contains(name) || name == xdp_program_name || name.starts_with(link_pin_prefix) ||
           is_pinned_text(directory_ + "/" + name);
}

Status XdpMaps::unpin() const {
    return remove_pins(directory_, [this](const std::string& name) { return is_own_pin(name); });
}

}  // namespace sluice
