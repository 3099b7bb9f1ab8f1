// SPDX-License-Identifier: Apache-2.0
//
// PCI devices as /sys tells of them, on a machine made of files.
#include <gtest/gtest.h>

#include <filesystem>

#include "dataplane/io/pci/kernel_driver.h"
#include "dataplane/io/pci/pci_address.h"
#include "tests/support/fake_machine.h"

namespace sluice {
namespace {

constexpr const char* address = "0000:3b:00.0";

class KernelDriverTest : public testing::Test {
protected:
    void device(const std::string& name, const std::string& driver) {
        const std::string place = "sys/bus/pci/devices/" + name;
        machine_.write(place + "/driver_override", "(null)");
        machine_.write("sys/bus/pci/drivers/" + driver + "/unbind", "");
        machine_.write("sys/kernel/iommu_groups/7/devices/" + name, "");
        link(place + "/driver", "../../drivers/" + driver);
        link(place + "/iommu_group", "../../../../kernel/iommu_groups/7");
    }
    void link(const std::string& at, const std::string& to) {
        std::filesystem::remove(machine_.path(at));
        std::filesystem::create_symlink(to, machine_.path(at));
    }
    KernelDriver driver() const { return KernelDriver(address, machine_.files().sysfs); }

    FakeMachine machine_;
};

TEST(PciAddress, IsReadInFullFromShortFormsAndArguments) {
    EXPECT_EQ(pci_address("0000:3b:00.0"), address);
    EXPECT_EQ(pci_address("3b:00.0"), address);
    EXPECT_EQ(pci_address("3b:00.0,some=argument"), address);
    EXPECT_EQ(pci_address("net_memif0,socket=/run/a:b"), "");
    EXPECT_EQ(pci_address("eth0"), "");
    EXPECT_EQ(pci_address(""), "");
}

TEST_F(KernelDriverTest, NamesTheDriverAndTheInterfacesWithWhatStandsOnThem) {
    device(address, "igb");
    machine_.write(std::string("sys/bus/pci/devices/") + address + "/net/eth1/address", "");
    machine_.write("sys/class/net/eth1/upper_bond0/address", "");
    machine_.write("sys/class/net/bond0/upper_br0/address", "");
    EXPECT_EQ(driver().name(), "igb");
    EXPECT_EQ(driver().interfaces(), std::vector<std::string>{"eth1"});
    EXPECT_EQ(driver().interfaces_and_uppers(), (std::vector<std::string>{"eth1", "bond0", "br0"}));
}

TEST_F(KernelDriverTest, FindsTheInterfaceOfAVirtioDeviceOneDown) {
    device(address, "virtio-pci");
    machine_.write(std::string("sys/bus/pci/devices/") + address + "/virtio3/net/eth2/address", "");
    EXPECT_EQ(driver().interfaces(), std::vector<std::string>{"eth2"});
}

TEST_F(KernelDriverTest, SaysWhyVfioCannotHaveADevice) {
    device(address, "igb");
    EXPECT_NE(driver().obstacle().find("no driver vfio-pci"), std::string::npos);
    machine_.write("sys/bus/pci/drivers/vfio-pci/new_id", "");
    EXPECT_EQ(driver().obstacle(), "");
    device("0000:3b:00.1", "igb");
    EXPECT_NE(driver().obstacle().find("shares IOMMU group 7 with 0000:3b:00.1, which igb drives"),
              std::string::npos);
    std::filesystem::remove(machine_.path(std::string("sys/bus/pci/devices/") + address + "/iommu_group"));
    EXPECT_NE(driver().obstacle().find("in no IOMMU group"), std::string::npos);
}

TEST_F(KernelDriverTest, SaysThatVfioDidNotTakeItWhenItHasAnotherDriverStill) {
    device(address, "igb");
    machine_.write("sys/bus/pci/drivers_probe", "");
    const Status given = driver().give_to_vfio();
    ASSERT_FALSE(given.ok());
    EXPECT_NE(given.error().message.find("vfio-pci did not take it"), std::string::npos);
    EXPECT_EQ(machine_.read("sys/bus/pci/drivers/igb/unbind"), address);
    EXPECT_EQ(machine_.read(std::string("sys/bus/pci/devices/") + address + "/driver_override"), "vfio-pci");
}

}  // namespace
}  // namespace sluice
