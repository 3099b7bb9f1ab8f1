// SPDX-License-Identifier: Apache-2.0
#include "control/compile/backend_patch.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/unit/compile_image.h"

namespace sluice::compile {
namespace {

using config::BackendState;
using config::Config;

// `count` services of `backends` each, none alike.
Config services(u32 count, u32 backends) {
    Config config;
    for (u32 i = 0; i < count; ++i) {
        config::Service service = test_service(fmt::format("s{}", i), fmt::format("192.0.2.{}", i + 1), {});
        service.ports.any = true;
        for (u32 b = 0; b < backends; ++b)
            service.backends.push_back(test_backend(fmt::format("10.0.{}.{}", i, b + 1), 80));
        config.services.push_back(service);
    }
    return config;
}

Snapshot compiled(const Config& config, const Environment& environment, const Identities* ids = nullptr) {
    Result<Snapshot> snapshot = compile(config, environment, ids);
    if (!snapshot) throw std::runtime_error(snapshot.error().message);
    return std::move(*snapshot);
}

bool same_bytes(const Lines& a, const Lines& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(image_line)) == 0;
}

BackendKey backend_of(const Config& config, u32 service, u32 backend) {
    return key_of(config.services[service], config.services[service].backends[backend]);
}

TEST(Patch, LeavesTheBytesOfASnapshotThatWasCompiledWithTheNewStates) {
    const Config config = services(4, 5);
    Environment environment;
    Snapshot live = compiled(config, environment);
    std::mt19937 random(7);
    u32 patched = 0;
    for (u32 round = 0; round < 60; ++round) {
        const BackendKey key = backend_of(config, random() % 4, random() % 5);
        const BackendState states[] = {BackendState::active, BackendState::draining, BackendState::disabled};
        const BackendState state = states[random() % 3];
        environment.backend_states.erase(key);
        if (state != BackendState::active) environment.backend_states[key] = state;
        const Snapshot wanted = compiled(config, environment, &live.identities);
        const auto patches = patch_backends(config, environment, live.identities, live.lines.data());
        if (!patches) {
            live = compiled(config, environment, &live.identities);
            continue;
        }
        for (const ServicePatch& patch : *patches) {
            write_patch(patch, live.lines.data());
            EXPECT_EQ(live.rings.erase(patch.before), 1U);
            live.rings.emplace(patch.after, patch.ring);
        }
        patched += !patches->empty();
        ASSERT_TRUE(same_bytes(live.lines, wanted.lines)) << "round " << round;
        ASSERT_EQ(live.rings, wanted.rings) << "round " << round;
    }
    EXPECT_GT(patched, 20U);
}

TEST(Patch, IsOnlyOfTheServicesConcerned) {
    const Config config = services(3, 4);
    const Snapshot live = compiled(config, {});
    EXPECT_TRUE(patch_backends(config, {}, live.identities, live.lines.data())->empty());
    Environment environment;
    environment.backend_states[backend_of(config, 1, 2)] = BackendState::disabled;
    const auto patches = patch_backends(config, environment, live.identities, live.lines.data());
    ASSERT_TRUE(patches);
    EXPECT_EQ(patches->size(), 1U);
}

TEST(Patch, TakesANewSnapshotWhereARingIsSharedOrChangesItsSize) {
    Config shared = services(2, 3);
    shared.services[1].backends = shared.services[0].backends;
    Environment environment;
    environment.backend_states[backend_of(shared, 0, 0)] = BackendState::disabled;
    const Snapshot one = compiled(shared, {});
    EXPECT_FALSE(patch_backends(shared, environment, one.identities, one.lines.data()));

    const Config pair = services(1, 2);
    const Snapshot two = compiled(pair, {});
    environment.backend_states = {{backend_of(pair, 0, 0), BackendState::disabled}};
    EXPECT_FALSE(patch_backends(pair, environment, two.identities, two.lines.data()));
}

TEST(KnownRings, MakeTheSameImage) {
    const Config before = services(3, 4);
    const Snapshot live = compiled(before, {});
    Config next = before;
    next.services[1].backends[0].weight = 7;
    next.services.erase(next.services.begin());
    const Snapshot plain = compiled(next, {}, &live.identities);
    Environment environment;
    environment.rings = {&live.rings, live.lines.data()};
    const Snapshot reused = compiled(next, environment, &live.identities);
    EXPECT_TRUE(same_bytes(plain.lines, reused.lines));
    EXPECT_EQ(plain.rings, reused.rings);
    EXPECT_EQ(reused.rings.size(), 2U);
}

}  // namespace
}  // namespace sluice::compile
