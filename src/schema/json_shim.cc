// SPDX-License-Identifier: Apache-2.0
//
// schema__doc over simdjson's DOM: see json_shim.h. The only C++ file of the program.
// Thread: one document at a time per parser. Owner: the parser owns the document's tape and
// strings.

#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <cstring>
#include <new>

#include "schema/json_shim.h"

using simdjson::dom::element;
using simdjson::dom::element_type;

struct schema__doc {
    simdjson::dom::parser parser;
    explicit schema__doc(size_t bytes_max) noexcept : parser(bytes_max)
    {
    }
};

static_assert(std::is_trivially_copyable<element>::value, "an element travels as plain words");
static_assert(sizeof(element) == sizeof(const void *) + sizeof(size_t),
              "an element is a document and an index");

namespace
{

// simdjson's own first allocation is made for this many bytes.
constexpr size_t first_document_bytes = 4096;

element element_of(const schema__value *value) noexcept
{
    element node;
    std::memcpy(static_cast<void *>(&node), &value->of.node, sizeof(node));
    return node;
}

fr_slice slice_of(std::string_view text) noexcept
{
    return fr_slice{text.data(), text.size()};
}

void value_of(element node, schema__value *out) noexcept
{
    switch (node.type()) {
    case element_type::STRING:
        out->kind = SCHEMA__STRING;
        out->of.text = slice_of(node.get_string().value_unsafe());
        return;
    case element_type::INT64:
        out->kind = SCHEMA__INT;
        out->of.integer = node.get_int64().value_unsafe();
        return;
    case element_type::UINT64:
        out->kind = SCHEMA__UINT;
        out->of.natural = node.get_uint64().value_unsafe();
        return;
    case element_type::DOUBLE:
        out->kind = SCHEMA__DOUBLE;
        out->of.real = node.get_double().value_unsafe();
        return;
    case element_type::BOOL:
        out->kind = SCHEMA__BOOL;
        out->of.boolean = node.get_bool().value_unsafe();
        return;
    case element_type::NULL_VALUE:
        out->kind = SCHEMA__NULL;
        out->of.integer = 0;
        return;
    case element_type::ARRAY:
    case element_type::OBJECT:
        out->kind = node.type() == element_type::ARRAY ? SCHEMA__ARRAY : SCHEMA__OBJECT;
        std::memcpy(&out->of.node, static_cast<const void *>(&node), sizeof(node));
        return;
    }
}

// Static texts for people; simdjson's own say less.
const char *rule_of(simdjson::error_code code) noexcept
{
    switch (code) {
    case simdjson::DEPTH_ERROR:
        return "is nested too deeply";
    case simdjson::EMPTY:
        return "is empty";
    case simdjson::UTF8_ERROR:
        return "is not valid UTF-8";
    case simdjson::UNESCAPED_CHARS:
        return "has a control character inside a string";
    case simdjson::UNCLOSED_STRING:
        return "has a string without its closing quote";
    case simdjson::STRING_ERROR:
        return "has a broken escape in a string";
    case simdjson::NUMBER_ERROR:
        return "has a number that is malformed or too large";
    case simdjson::T_ATOM_ERROR:
    case simdjson::F_ATOM_ERROR:
    case simdjson::N_ATOM_ERROR:
        return "has a word other than true, false, null";
    default:
        return "is not well-formed JSON";
    }
}

} // namespace

extern "C" schema__doc *schema__doc_new(size_t bytes_max, size_t depth_max)
{
    schema__doc *doc = new (std::nothrow) schema__doc(bytes_max);
    size_t first = bytes_max < first_document_bytes ? bytes_max : first_document_bytes;
    if (doc && doc->parser.allocate(first, depth_max) != simdjson::SUCCESS) {
        delete doc;
        doc = nullptr;
    }
    return doc;
}

extern "C" void schema__doc_free(schema__doc *doc)
{
    delete doc;
}

extern "C" fr_status schema__doc_parse(schema__doc *doc, fr_slice text, schema__value *out_root,
                                       const char **out_rule)
{
    // simdjson copies into its own padded buffer: our text may end at the end of a page.
    auto result = doc->parser.parse(text.ptr ? text.ptr : "", text.bytes, true);
    simdjson::error_code code = result.error();
    if (code == simdjson::SUCCESS) {
        value_of(result.value_unsafe(), out_root);
        return FR_OK;
    }
    if (code == simdjson::CAPACITY)
        return FR_FULL;
    if (code == simdjson::MEMALLOC)
        return FR_MEMORY;
    *out_rule = rule_of(code);
    return FR_INVALID;
}

extern "C" size_t schema__object_members(const schema__value *object, schema__member *out_members,
                                         size_t max)
{
    size_t count = 0;
    // A copy with a name: the range must outlive the result it came in.
    const simdjson::dom::object fields = element_of(object).get_object().value_unsafe();
    for (auto field : fields) {
        if (count == max)
            return max + 1;
        out_members[count].key = slice_of(field.key);
        value_of(field.value, &out_members[count].value);
        count++;
    }
    return count;
}

extern "C" size_t schema__array_values(const schema__value *array, schema__value *out_values,
                                       size_t max)
{
    size_t count = 0;
    const simdjson::dom::array nodes = element_of(array).get_array().value_unsafe();
    for (auto node : nodes) {
        if (count == max)
            return max + 1;
        value_of(node, &out_values[count]);
        count++;
    }
    return count;
}
