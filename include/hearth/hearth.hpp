/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Hearth for C++17: the calls of hearth.h with handles that own, keys and values as std::string_view, times as std::chrono, and
 * loaders as callables. Header only.
 *
 *     hearthpp::cache cache = hearthpp::cache::open({{"remote.url", "redis://10.0.0.1:6379"}}).value();
 *     hearthpp::value value;
 *     auto status = cache.fetch("user:1", value, [&](std::string_view key, hearthpp::fill &fill) {
 *         return fill.value(database.read(key));
 *     });
 *     if (status.ok())
 *         use(value.view());
 *
 * Nothing here throws unless it is asked to: calls answer a hearthpp::status, or a hearthpp::result, which is one with an object. Both
 * have value() or check(), which throw a hearthpp::error where there is none. What a callable throws inside of a load does not
 * leave it: the load has failed (HEARTH_E_LOADER), and fetch() throws it again on the thread that called it.
 *
 * The namespace is hearthpp, since hearth is the C type of a cache.
 *
 * What hearth.h says of statuses, threads, ownership and units holds here; comments tell what is different. A handle that was moved
 * from, or made by its default, is empty: it may be destroyed and assigned to, and its calls answer HEARTH_E_INVALID.
 */
#ifndef HEARTH_HEARTH_HPP
#define HEARTH_HEARTH_HPP

#include <hearth/hearth.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace hearthpp {

using milliseconds = std::chrono::milliseconds;

/** What a status is where it is thrown. */
class error : public std::runtime_error {
  public:
    explicit error(std::int32_t code, const std::string &why = std::string())
        : std::runtime_error(std::string(hearth_status_name(code)) + ": " +
                             (why.empty() ? std::string(hearth_strerror(code)) : why)),
          code_(code) {
    }

    /** A status of errors.h. */
    std::int32_t code() const noexcept {
        return code_;
    }

  private:
    std::int32_t code_;
};

/** A status of errors.h that has to be looked at. */
class [[nodiscard]] status {
  public:
    constexpr status(std::int32_t code) noexcept : code_(code) {
    }

    constexpr std::int32_t code() const noexcept {
        return code_;
    }

    /** HEARTH_OK, and nothing else. */
    constexpr bool ok() const noexcept {
        return code_ == HEARTH_OK;
    }

    constexpr bool is_error() const noexcept {
        return code_ < 0;
    }

    const char *name() const noexcept {
        return hearth_status_name(code_);
    }

    const char *text() const noexcept {
        return hearth_strerror(code_);
    }

    /** Throws an error below 0; else itself. */
    status check() const {
        if (is_error()) {
            throw error(code_);
        }
        return *this;
    }

    friend constexpr bool operator==(status one, status other) noexcept {
        return one.code_ == other.code_;
    }

    friend constexpr bool operator!=(status one, status other) noexcept {
        return one.code_ != other.code_;
    }

  private:
    std::int32_t code_;
};

/** An object, or the status that says why there is none. */
template <typename T> class [[nodiscard]] result {
  public:
    result(T object) noexcept : object_(std::move(object)), status_(HEARTH_OK) {
    }
    result(hearthpp::status why, std::string text = std::string())
        : object_(), status_(why), why_(std::move(text)) {
    }

    bool ok() const noexcept {
        return status_.ok();
    }

    explicit operator bool() const noexcept {
        return ok();
    }

    hearthpp::status code() const noexcept {
        return status_;
    }

    /** What is wrong, in a sentence; empty where there is only a status. */
    const std::string &why() const noexcept {
        return why_;
    }

    /** The object; throws an error where there is none. */
    T &value() & {
        require();
        return object_;
    }

    T value() && {
        require();
        return std::move(object_);
    }

    /** The object, which is there if ok(). */
    T &operator*() noexcept {
        return object_;
    }

    T *operator->() noexcept {
        return &object_;
    }

  private:
    void require() const {
        if (!ok()) {
            throw error(status_.code(), why_);
        }
    }

    T object_;
    hearthpp::status status_;
    std::string why_;
};

/** `size()` objects that lie beside each other and are somebody else's: C++17 has no std::span. */
template <typename T> class span {
  public:
    constexpr span() noexcept = default;
    constexpr span(T *data, std::size_t size) noexcept : data_(data), size_(size) {
    }

    /** Of anything with data() and size(). */
    template <typename C, typename = std::enable_if_t<
                              std::is_convertible_v<decltype(std::declval<C &>().data()), T *>>>
    constexpr span(C &container) noexcept : data_(container.data()), size_(container.size()) {
    }

    constexpr T *data() const noexcept {
        return data_;
    }

    constexpr std::size_t size() const noexcept {
        return size_;
    }

    constexpr T *begin() const noexcept {
        return data_;
    }

    constexpr T *end() const noexcept {
        return data_ + size_;
    }

    constexpr T &operator[](std::size_t index) const noexcept {
        return data_[index];
    }

  private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

using bytes = span<const std::byte>;

/** Bytes as a value to be stored. */
inline std::string_view view_of(bytes given) noexcept {
    return {reinterpret_cast<const char *>(given.data()), given.size()};
}

/** Options of a read: hearth_read_options with times as durations. */
class read_options {
  public:
    read_options() noexcept {
        hearth_read_options_init(&raw_, sizeof raw_);
    }

    read_options &deadline(milliseconds time) noexcept {
        raw_.deadline_ms = time.count();
        return *this;
    }

    read_options &max_stale(milliseconds time) noexcept {
        raw_.max_stale_ms = time.count();
        return *this;
    }

    /** HEARTH_READ_... */
    read_options &flags(std::uint32_t flags) noexcept {
        raw_.flags = flags;
        return *this;
    }

    const hearth_read_options *get() const noexcept {
        return &raw_;
    }

  private:
    hearth_read_options raw_;
};

/** Options of a write: hearth_write_options with times as durations. */
class write_options {
  public:
    write_options() noexcept {
        hearth_write_options_init(&raw_, sizeof raw_);
    }

    /** 0: for ever. */
    write_options &ttl(milliseconds time) noexcept {
        raw_.ttl_ms = time.count();
        return *this;
    }

    write_options &soft_ttl(milliseconds time) noexcept {
        raw_.soft_ttl_ms = time.count();
        return *this;
    }

    write_options &deadline(milliseconds time) noexcept {
        raw_.deadline_ms = time.count();
        return *this;
    }

    write_options &if_version(std::uint64_t version) noexcept {
        raw_.if_version = version;
        return *this;
    }

    write_options &content(std::uint32_t word) noexcept {
        raw_.content = word;
        return *this;
    }

    /** HEARTH_WRITE_... */
    write_options &flags(std::uint32_t flags) noexcept {
        raw_.flags = flags;
        return *this;
    }

    const hearth_write_options *get() const noexcept {
        return &raw_;
    }

  private:
    hearth_write_options raw_;
};

/** What is known about a value. */
class info {
  public:
    explicit info(const hearth_info &raw) noexcept : raw_(raw) {
    }

    std::uint32_t tier() const noexcept {
        return raw_.tier;
    }

    bool is_stale() const noexcept {
        return raw_.freshness == HEARTH_STALE;
    }

    /** -1 ms: that is not kept. */
    milliseconds age() const noexcept {
        return milliseconds(raw_.age_ms);
    }

    /** -1 ms: for ever. */
    milliseconds ttl_left() const noexcept {
        return milliseconds(raw_.ttl_left_ms);
    }

    milliseconds staleness_bound() const noexcept {
        return milliseconds(raw_.staleness_bound_ms);
    }

    std::uint64_t version() const noexcept {
        return raw_.version;
    }

    std::uint32_t content() const noexcept {
        return raw_.content;
    }

  private:
    hearth_info raw_;
};

namespace detail {

struct value_free {
    void operator()(hearth_value *raw) const noexcept {
        hearth_value_free(raw);
    }
};

struct options_free {
    void operator()(hearth_options *raw) const noexcept {
        hearth_options_free(raw);
    }
};

struct cache_close {
    void operator()(::hearth *raw) const noexcept {
        (void)hearth_close(raw);
    }
};

struct queue_close {
    void operator()(hearth_queue *raw) const noexcept {
        (void)hearth_queue_close(raw, nullptr, nullptr);
    }
};

} // namespace detail

/** A value object, used for any number of calls. Throws std::bad_alloc where there is no memory. */
class value {
  public:
    value() : raw_(hearth_value_new()) {
        if (!raw_) {
            throw std::bad_alloc();
        }
    }

    /** Valid until the next use of the object. */
    std::string_view view() const noexcept {
        return {static_cast<const char *>(hearth_value_data(raw_.get())), size()};
    }

    bytes as_bytes() const noexcept {
        return {static_cast<const std::byte *>(hearth_value_data(raw_.get())), size()};
    }

    std::size_t size() const noexcept {
        return hearth_value_size(raw_.get());
    }

    hearthpp::info info() const noexcept {
        hearth_info raw = {};
        raw.size = sizeof raw;
        (void)hearth_value_info(raw_.get(), &raw);
        return hearthpp::info(raw);
    }

    hearth_value *get() const noexcept {
        return raw_.get();
    }

  private:
    std::unique_ptr<hearth_value, detail::value_free> raw_;
};

/** What a loader answers with. Somebody else's, valid inside of the callable. */
class fill {
  public:
    explicit fill(hearth_fill *raw) noexcept : raw_(raw) {
    }

    status value(std::string_view data) noexcept {
        return hearth_fill_value(raw_, data.data(), data.size());
    }

    status absent() noexcept {
        return hearth_fill_absent(raw_);
    }

    status ttl(milliseconds hard,
               milliseconds soft = milliseconds(HEARTH_TTL_DEFAULT)) noexcept {
        return hearth_fill_ttl(raw_, hard.count(), soft.count());
    }

    /** What there is already; HEARTH_MISS: nothing. */
    status stale(std::string_view &data) const noexcept {
        const void *at = nullptr;
        std::size_t size = 0;
        std::int32_t code = hearth_fill_stale(raw_, &at, &size, nullptr);
        if (code == HEARTH_OK) {
            data = {static_cast<const char *>(at), size};
        }
        return code;
    }

    status unchanged() noexcept {
        return hearth_fill_unchanged(raw_);
    }

    hearth_fill *get() const noexcept {
        return raw_;
    }

  private:
    hearth_fill *raw_;
};

namespace detail {

/** Calls a callable as a loader. What it throws is kept for who called fetch(). */
template <typename F> struct call {
    F *function;
    std::exception_ptr thrown = nullptr;

    static std::int32_t load(void *arg, const void *key, std::size_t key_size,
                             hearth_fill *raw) noexcept {
        auto *self = static_cast<call *>(arg);
        fill into(raw);
        try {
            status said = (*self->function)(
                std::string_view(static_cast<const char *>(key), key_size), into);
            return said.code();
        } catch (...) {
            self->thrown = std::current_exception();
            return HEARTH_E_LOADER;
        }
    }

    hearth_loader loader() noexcept {
        hearth_loader made = {};
        made.size = sizeof made;
        made.load = load;
        made.arg = this;
        return made;
    }
};

} // namespace detail

/** Options by name. */
class options {
  public:
    options() : raw_(hearth_options_new()) {
        if (!raw_) {
            throw std::bad_alloc();
        }
    }

    status set(const std::string &name, const std::string &text) noexcept {
        return hearth_options_set(raw_.get(), name.c_str(), text.c_str());
    }

    /** From a file of lines `name = value`. */
    status load(const std::string &path) noexcept {
        return hearth_options_load(raw_.get(), path.c_str());
    }

    /** Why the last call with these failed. */
    std::string why() const {
        return hearth_options_error(raw_.get());
    }

    hearth_options *get() const noexcept {
        return raw_.get();
    }

  private:
    std::unique_ptr<hearth_options, detail::options_free> raw_;
};

class cache_namespace;

/** A cache; closed when it is destroyed. Calls may be made by any thread. */
class cache {
  public:
    using setting = std::pair<std::string, std::string>;

    cache() noexcept = default;

    static result<cache> open(const options &with) {
        ::hearth *raw = nullptr;
        std::int32_t code = hearth_open(with.get(), &raw);
        if (code != HEARTH_OK) {
            return {status(code), with.why()};
        }
        return cache(raw);
    }

    static result<cache> open(std::initializer_list<setting> settings = {}) {
        options with;
        for (const setting &each : settings) {
            status said = with.set(each.first, each.second);
            if (!said.ok()) {
                return {said, with.why()};
            }
        }
        return open(with);
    }

    status get(std::string_view key, value &into,
               const read_options &read = read_options()) const noexcept {
        return hearth_get(raw(), key.data(), key.size(), read.get(), into.get());
    }

    /** Whether there is one, in either tier. */
    status exists(std::string_view key,
                  const read_options &read = read_options()) const noexcept {
        return hearth_get(raw(), key.data(), key.size(), read.get(), nullptr);
    }

    status set(std::string_view key, std::string_view data,
               const write_options &write = write_options()) const noexcept {
        return hearth_set(raw(), key.data(), key.size(), data.data(), data.size(), write.get());
    }

    status add(std::string_view key, std::string_view data,
               const write_options &write = write_options()) const noexcept {
        return hearth_add(raw(), key.data(), key.size(), data.data(), data.size(), write.get());
    }

    status replace(std::string_view key, std::string_view data,
                   const write_options &write = write_options()) const noexcept {
        return hearth_replace(raw(), key.data(), key.size(), data.data(), data.size(),
                              write.get());
    }

    status erase(std::string_view key,
                 const write_options &write = write_options()) const noexcept {
        return hearth_delete(raw(), key.data(), key.size(), write.get());
    }

    status touch(std::string_view key, const write_options &write) const noexcept {
        return hearth_touch(raw(), key.data(), key.size(), write.get());
    }

    status increment(std::string_view key, std::int64_t delta, std::int64_t &number,
                     const write_options &write = write_options()) const noexcept {
        return hearth_increment(raw(), key.data(), key.size(), delta, &number, write.get());
    }

    status mark_stale(std::string_view key,
                      const write_options &write = write_options()) const noexcept {
        return hearth_mark_stale(raw(), key.data(), key.size(), write.get());
    }

    status invalidate_tag(std::string_view tag,
                          const write_options &write = write_options()) const noexcept {
        return hearth_invalidate_tag(raw(), tag.data(), tag.size(), write.get());
    }

    /**
     * From the tiers, or by `load`: a callable that gets (std::string_view key, hearthpp::fill &) and returns a status. It runs on the
     * calling thread; what it throws is thrown here.
     */
    template <typename F>
    status fetch(std::string_view key, value &into, F &&load,
                 const read_options &read = read_options(),
                 const write_options &write = write_options()) const {
        detail::call<std::remove_reference_t<F>> call{&load};
        const hearth_loader loader = call.loader();
        std::int32_t code = hearth_fetch(raw(), key.data(), key.size(), &loader, read.get(),
                                         write.get(), into.get());
        if (call.thrown) {
            std::rethrow_exception(call.thrown);
        }
        return code;
    }

    /** Keys, and as many values and statuses. */
    status get_many(span<const std::string_view> keys, span<value> into,
                    span<std::int32_t> statuses,
                    const read_options &read = read_options()) const {
        if (into.size() != keys.size() || statuses.size() != keys.size()) {
            return HEARTH_E_INVALID;
        }
        std::vector<const void *> places;
        std::vector<std::size_t> sizes;
        std::vector<hearth_value *> values;
        for (std::size_t i = 0; i < keys.size(); i++) {
            places.push_back(keys[i].data());
            sizes.push_back(keys[i].size());
            values.push_back(into[i].get());
        }
        return hearth_get_many(raw(), keys.size(), places.data(), sizes.data(), read.get(),
                               values.data(), statuses.data());
    }

    /** A namespace: hearth_namespace_open(). */
    result<cache_namespace> open_namespace(std::string_view name) const;

    /** Forgets all its own keys; of a cache with nodes, if it was opened with `coherence.clear` = yes. */
    status clear() const noexcept {
        return hearth_clear(raw());
    }

    status evict_local(std::string_view key) const noexcept {
        return hearth_evict_local(raw(), key.data(), key.size());
    }

    hearth_stats stats() const noexcept {
        hearth_stats made = {};
        made.size = sizeof made;
        (void)hearth_stats_get(raw(), &made);
        return made;
    }

    /** Closes it, and says whether that was possible: not from inside of a loader. */
    status close() noexcept {
        std::int32_t code = hearth_close(raw());
        if (code == HEARTH_OK) {
            (void)raw_.release();
        }
        return code;
    }

    ::hearth *raw() const noexcept {
        return raw_.get();
    }

  protected:
    explicit cache(::hearth *raw) noexcept : raw_(raw) {
    }

  private:
    std::unique_ptr<::hearth, detail::cache_close> raw_;
};

/**
 * A namespace of a cache: every call of one, for keys of its own. When it is destroyed or closed it ends alone; it has to be before its
 * cache is.
 */
class cache_namespace : public cache {
  public:
    cache_namespace() noexcept = default;

    static result<cache_namespace> open(const cache &of, std::string_view name) {
        ::hearth *raw = nullptr;
        std::int32_t code = hearth_namespace_open(of.raw(), name.data(), name.size(), &raw);
        if (code != HEARTH_OK) {
            return {status(code)};
        }
        return cache_namespace(raw);
    }

    /** Forgets all its keys, in all processes. */
    status bump(const write_options &write = write_options()) const noexcept {
        return hearth_namespace_bump(raw(), write.get());
    }

  private:
    explicit cache_namespace(::hearth *raw) noexcept : cache(raw) {
    }
};

inline result<cache_namespace> cache::open_namespace(std::string_view name) const {
    return cache_namespace::open(*this, name);
}

/** A queue of calls that do not wait; closed when it is destroyed, and then its results are lost. */
class queue {
  public:
    queue() noexcept = default;

    static result<queue> open(const cache &of) {
        hearth_queue *raw = nullptr;
        std::int32_t code = hearth_queue_open(of.raw(), &raw);
        if (code != HEARTH_OK) {
            return {status(code)};
        }
        return queue(raw);
    }

    /** `ticket` 0 after HEARTH_OK: `into` has the answer already. */
    status get(std::string_view key, value &into, void *tag, std::uint64_t &ticket,
               const read_options &read = read_options()) const noexcept {
        hearth_operation made = operation(HEARTH_VERB_GET, key, tag);
        made.value = into.get();
        made.read = read.get();
        return hearth_submit(raw(), &made, &ticket);
    }

    status set(std::string_view key, std::string_view data, void *tag, std::uint64_t &ticket,
               const write_options &write = write_options()) const noexcept {
        return store(HEARTH_VERB_SET, key, data, tag, ticket, write);
    }

    status add(std::string_view key, std::string_view data, void *tag, std::uint64_t &ticket,
               const write_options &write = write_options()) const noexcept {
        return store(HEARTH_VERB_ADD, key, data, tag, ticket, write);
    }

    status replace(std::string_view key, std::string_view data, void *tag,
                   std::uint64_t &ticket,
                   const write_options &write = write_options()) const noexcept {
        return store(HEARTH_VERB_REPLACE, key, data, tag, ticket, write);
    }

    status erase(std::string_view key, void *tag, std::uint64_t &ticket,
                 const write_options &write = write_options()) const noexcept {
        return store(HEARTH_VERB_DELETE, key, {}, tag, ticket, write);
    }

    status touch(std::string_view key, void *tag, std::uint64_t &ticket,
                 const write_options &write) const noexcept {
        return store(HEARTH_VERB_TOUCH, key, {}, tag, ticket, write);
    }

    /** The result's `number` is what it is then. */
    status increment(std::string_view key, std::int64_t delta, void *tag, std::uint64_t &ticket,
                     const write_options &write = write_options()) const noexcept {
        hearth_operation made = operation(HEARTH_VERB_INCREMENT, key, tag);
        made.delta = delta;
        made.write = write.get();
        return hearth_submit(raw(), &made, &ticket);
    }

    status mark_stale(std::string_view key, void *tag, std::uint64_t &ticket,
                      const write_options &write = write_options()) const noexcept {
        return store(HEARTH_VERB_MARK_STALE, key, {}, tag, ticket, write);
    }

    /** `name`: the values' tag; `tag` is the operation's, as everywhere here. */
    status invalidate_tag(std::string_view name, void *tag, std::uint64_t &ticket,
                          const write_options &write = write_options()) const noexcept {
        return store(HEARTH_VERB_INVALIDATE_TAG, name, {}, tag, ticket, write);
    }

    /** Anything else, as hearth_submit() takes it. */
    status submit(const hearth_operation &made, std::uint64_t &ticket) const noexcept {
        return hearth_submit(raw(), &made, &ticket);
    }

    /** Calls `use` with each result (const hearth_result &), at most 64. HEARTH_MISS: there was none in time. */
    template <typename F>
    status collect(F &&use, milliseconds timeout = milliseconds(0)) const {
        constexpr std::size_t most = 64;
        hearth_result results[most] = {};
        std::size_t count = 0;
        results[0].size = sizeof results[0];
        std::int32_t code = hearth_collect(raw(), results, most, timeout.count(), &count);
        for (std::size_t i = 0; i < count; i++) {
            use(static_cast<const hearth_result &>(results[i]));
        }
        return code;
    }

    status cancel(std::uint64_t ticket) const noexcept {
        return hearth_cancel(raw(), ticket);
    }

    /** To be polled for input. */
    result<int> event_fd() const {
        int fd = -1;
        std::int32_t code = hearth_event_fd(raw(), &fd);
        if (code != HEARTH_OK) {
            return {status(code)};
        }
        return fd;
    }

    hearth_queue *raw() const noexcept {
        return raw_.get();
    }

  private:
    explicit queue(hearth_queue *raw) noexcept : raw_(raw) {
    }

    status store(std::uint32_t verb, std::string_view key, std::string_view data, void *tag,
                 std::uint64_t &ticket, const write_options &write) const noexcept {
        hearth_operation made = operation(verb, key, tag);
        made.data = data.data();
        made.data_size = data.size();
        made.write = write.get();
        return hearth_submit(raw(), &made, &ticket);
    }

    static hearth_operation operation(std::uint32_t verb, std::string_view key,
                                      void *tag) noexcept {
        hearth_operation made;
        hearth_operation_init(&made, sizeof made);
        made.verb = verb;
        made.key = key.data();
        made.key_size = key.size();
        made.tag = tag;
        return made;
    }

    std::unique_ptr<hearth_queue, detail::queue_close> raw_;
};

} // namespace hearthpp

#endif
