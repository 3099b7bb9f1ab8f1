// SPDX-License-Identifier: Apache-2.0
#include "control/config/json_schema.h"

#include <nlohmann/json.hpp>

#include "control/config/schema.h"

namespace sluice::config {

namespace {

using Json = nlohmann::ordered_json;
constexpr const char* section_mark = "$section";

Json schema_of(const Section& section);

// `shape` with the nested section's schema in its place.
Json filled(Json shape, const Section* nested) {
    if (shape == section_mark) return schema_of(*nested);
    if (shape.is_structured()) {
        for (Json& inner : shape) inner = filled(std::move(inner), nested);
    }
    return shape;
}

Json schema_of(const Section& section) {
    Json out = {{"type", "object"}, {"description", section.about}, {"properties", Json::object()}};
    Json required_keys = Json::array();
    for (const Field& field : section.fields) {
        Json value = filled(Json::parse(field.shape), field.nested);
        value["description"] = fmt::format("{}. Expected: {}.{}", field.meaning, field.expected,
                                           field.fallback.empty() ? "" : " Default: " + field.fallback + ".");
        out["properties"][field.key] = std::move(value);
        if (field.required) required_keys.push_back(field.key);
    }
    if (!required_keys.empty()) out["required"] = std::move(required_keys);
    out["additionalProperties"] = false;
    return out;
}

}  // namespace

std::string json_schema() {
    Json out = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                {"title", "sluice configuration"}};
    out.update(schema_of(config_schema()));
    return out.dump(2) + "\n";
}

}  // namespace sluice::config
