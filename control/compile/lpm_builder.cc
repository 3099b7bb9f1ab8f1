// SPDX-License-Identifier: Apache-2.0
#include "control/compile/lpm_builder.h"

#include <algorithm>
#include <array>

namespace sluice::compile {

namespace {

constexpr u8 no_length = 0xff;

// The look-up knows one address space, but ::/0 is not meant for IPv4: IPv4 then needs a root with a value of
// its own.
void add_v4_root(std::vector<LpmItem>& sorted, u32 none) {
    constexpr PrefixKey root = PrefixKey::v4_root();
    const auto at =
        std::lower_bound(sorted.begin(), sorted.end(), root,
                         [](const LpmItem& item, const PrefixKey& key) { return item.prefix < key; });
    if (at != sorted.end() && at->prefix == root) return;
    const bool covered =
        std::any_of(sorted.begin(), at, [&](const LpmItem& i) { return i.prefix.covers(root); });
    if (covered) sorted.insert(at, {root, none});
}

void drop_redundant(std::vector<LpmItem>& sorted, u32 none) {
    CoverStack<u32> covers(false);
    size_t kept = 0;
    for (const LpmItem& item : sorted) {
        const u32* cover = covers.find(item.prefix);
        if (item.value == (cover != nullptr ? *cover : none)) continue;
        covers.push(item.prefix, item.value);
        sorted[kept++] = item;
    }
    sorted.resize(kept);
}

// The binary search over lengths, and what a prefix of each length has to leave on its way.
class LengthTree {
public:
    explicit LengthTree(const std::vector<LpmItem>& items) {
        std::array<bool, 129> present{};
        for (const LpmItem& item : items) present[item.prefix.length] = true;
        for (size_t length = 0; length < present.size(); ++length) {
            if (present[length]) ordered_.push_back(static_cast<u8>(length));
        }
    }

    size_t count() const { return ordered_.size(); }

    void lay_out() {
        nodes_.fill(no_length);
        size_t next = 0;
        fill(0, next);
    }

    // Lengths at which the search for `length` must find something, to be sent on to longer ones.
    std::vector<u8> markers(u8 length) const {
        std::vector<u8> lengths;
        size_t node = 0;
        while (nodes_[node] != length) {
            const bool longer = length > nodes_[node];
            if (longer) lengths.push_back(nodes_[node]);
            node = 2 * node + (longer ? 2 : 1);
        }
        return lengths;
    }

    Lines lines() const { return lines_of(std::vector<u8>(nodes_.begin(), nodes_.end())); }

private:
    // In order, so that lengths ascend from left to right in a complete tree.
    void fill(size_t node, size_t& next) {
        if (node >= ordered_.size()) return;
        fill(2 * node + 1, next);
        nodes_[node] = ordered_[next++];
        fill(2 * node + 2, next);
    }

    std::vector<u8> ordered_;
    std::array<u8, 128> nodes_{};
};

lpm_entry make_entry(const PrefixKey& prefix, const u32* value) {
    lpm_entry entry{};
    entry.prefix = prefix.address();
    entry.value = value != nullptr ? *value : 0;
    entry.length = prefix.length;
    entry.used = 1;
    entry.has_value = value != nullptr;
    return entry;
}

// Prefixes and markers, each once: as the items ascend, so do the markers of one length, and a repetition is
// the last one.
std::vector<lpm_entry> make_entries(const std::vector<LpmItem>& items, const LengthTree& tree) {
    std::array<std::vector<u8>, 129> markers;
    std::array<bool, 129> known{};
    std::array<PrefixKey, 129> last;
    last.fill({0, 0, no_length});
    std::vector<lpm_entry> entries;
    entries.reserve(items.size() + items.size() / 2);
    CoverStack<u32> covers(false);
    for (const LpmItem& item : items) {
        const u8 length = item.prefix.length;
        if (!known[length]) markers[length] = tree.markers(length);
        known[length] = true;
        covers.find(item.prefix);
        for (const u8 at : markers[length]) {
            const PrefixKey marker = item.prefix.cut(at);
            if (last[at] == marker) continue;
            last[at] = marker;
            entries.push_back(make_entry(marker, covers.find_up_to(item.prefix, at)));
        }
        last[length] = item.prefix;
        entries.push_back(make_entry(item.prefix, &item.value));
        covers.push(item.prefix, item.value);
    }
    return entries;
}

}  // namespace

Result<LpmTable> build_lpm(std::vector<LpmItem> items, u32 none) {
    if (!std::is_sorted(items.begin(), items.end())) std::sort(items.begin(), items.end());
    add_v4_root(items, none);
    drop_redundant(items, none);
    LengthTree tree(items);
    if (tree.count() > LPM_LENGTHS) {
        return make_error("{} distinct prefix lengths: expected at most {}", tree.count(), +LPM_LENGTHS);
    }
    tree.lay_out();
    LpmTable table;
    table.none = none;
    if (items.empty()) return table;
    const std::vector<lpm_entry> entries = make_entries(items, tree);
    std::vector<u32> hashes;
    hashes.reserve(entries.size());
    for (const lpm_entry& entry : entries) {
        hashes.push_back(static_cast<u32>(image_hash(&entry.prefix, entry.length)));
    }
    const auto layout = lay_out_hashes(hashes, IMAGE_LINE / sizeof(lpm_entry));
    if (!layout) return make_error("{} prefixes share one hash: expected fewer", items.size());
    table.lengths = tree.lines();
    table.bucket_mask = layout->bucket_mask;
    table.prefixes = items.size();
    table.markers = entries.size() - items.size();
    table.entries.resize(layout->lines);
    auto* slots = reinterpret_cast<lpm_entry*>(table.entries.data());
    for (size_t i = 0; i < entries.size(); ++i) slots[layout->slots[i]] = entries[i];
    return table;
}

struct image_lpm LpmTable::write(ImageWriter& writer) && {
    struct image_lpm out {};
    out.none = none;
    out.lengths = writer.add(std::move(lengths));
    out.line = writer.add(std::move(entries));
    out.bucket_mask = bucket_mask;
    return out;
}

}  // namespace sluice::compile
