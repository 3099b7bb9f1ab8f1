// SPDX-License-Identifier: Apache-2.0
//
// Errors as values. A function that can fail returns Result<T>, or Status when there is nothing to return:
//
//     Result<UniqueFd> opened = open_device(name);
//     if (!opened) return opened.error();
//     use(*opened);
//
// An error's message is one line for an operator: place, value, what was expected. Callers put context in
// front as it travels up ("interface eth0: queue 3: bind: Device or resource busy").
#pragma once

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace sluice {

struct Error {
    std::string message;
    int code = 0;  // errno of the call that failed, 0 where no system call is behind the error

    // The same error with "context: " before its message.
    Error with_context(std::string_view context) const {
        return {fmt::format("{}: {}", context, message), code};
    }
};

// make_error("port {}: expected 1 to 65535", port)
template <typename... Args>
Error make_error(fmt::format_string<Args...> format, Args&&... args) {
    return {fmt::format(format, std::forward<Args>(args)...), 0};
}

// As make_error, followed by ": " and what errno value `code` means. Negative codes (libbpf's way) are taken
// too.
template <typename... Args>
Error system_error(int code, fmt::format_string<Args...> format, Args&&... args) {
    const int positive = code < 0 ? -code : code;
    char buffer[128];
    const char* meaning = strerror_r(positive, buffer, sizeof buffer);
    return {fmt::format("{}: {}", fmt::format(format, std::forward<Args>(args)...), meaning), positive};
}

template <typename T>
class [[nodiscard]] Result {
public:
    using value_type = T;

    // Both halves convert, so that `return value;` and `return make_error(...);` read as what they are.
    // NOLINTBEGIN(google-explicit-constructor)
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
    // NOLINTEND(google-explicit-constructor)

    bool ok() const { return state_.index() == 0; }
    explicit operator bool() const { return ok(); }

    // Asking a failed result for its value, or a good one for its error, is a bug in the caller: abort.
    T& value() & { return *checked(std::get_if<0>(&state_)); }
    const T& value() const& { return *checked(std::get_if<0>(&state_)); }
    T&& value() && { return std::move(*checked(std::get_if<0>(&state_))); }
    const Error& error() const { return *checked(std::get_if<1>(&state_)); }

    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

    T value_or(T fallback) && { return ok() ? std::move(*this).value() : std::move(fallback); }

    // next: T -> Result<U> or Status. An error passes through untouched.
    template <typename Next>
    auto and_then(Next&& next) && -> std::invoke_result_t<Next, T&&> {
        if (!ok()) return error();
        return std::forward<Next>(next)(std::move(*this).value());
    }

    // transform: T -> U, gives Result<U>.
    template <typename Transform>
    auto map(Transform&& transform) && -> Result<std::invoke_result_t<Transform, T&&>> {
        if (!ok()) return error();
        return std::forward<Transform>(transform)(std::move(*this).value());
    }

    // The same result; an error gets "context: " before its message.
    Result with_context(std::string_view context) && {
        if (!ok()) return error().with_context(context);
        return std::move(*this);
    }

private:
    template <typename P>
    static P* checked(P* pointer) {
        if (pointer == nullptr) std::abort();
        return pointer;
    }

    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
public:
    using value_type = void;

    Result() = default;
    // NOLINTNEXTLINE(google-explicit-constructor)
    Result(Error error) : failed_(true), error_(std::move(error)) {}

    bool ok() const { return !failed_; }
    explicit operator bool() const { return ok(); }

    const Error& error() const {
        if (!failed_) std::abort();
        return error_;
    }

    // next: () -> Result<U> or Status. An error passes through untouched.
    template <typename Next>
    auto and_then(Next&& next) && -> std::invoke_result_t<Next> {
        if (!ok()) return error();
        return std::forward<Next>(next)();
    }

    Result with_context(std::string_view context) && {
        if (!ok()) return error_.with_context(context);
        return {};
    }

private:
    bool failed_ = false;
    Error error_;
};

// What a function returns that can fail and has no value: `return {};` for success.
using Status = Result<void>;

}  // namespace sluice
