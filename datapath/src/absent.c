/* absent.c: seam functions that this version does not have yet: they fail and
 * say so.  A definition elsewhere replaces the weak one here. */
#include "api.h"

#include "base/base.h"

__attribute__((weak)) int
dp_pump(uint64_t *n_work UNUSED)
{
    return error_set(ENOSYS, "dp_pump: not built into this version");
}

__attribute__((weak)) int64_t
dp_deadline(void)
{
    return INT64_MAX;
}

__attribute__((weak)) int
workers_set(uint32_t n UNUSED)
{
    return error_set(ENOSYS, "workers_set: not built into this version");
}

__attribute__((weak)) int
datapath_open(const struct datapath_config *a0 UNUSED, uint32_t *dp UNUSED)
{
    return error_set(ENOSYS, "datapath_open: not built into this version");
}

__attribute__((weak)) int
datapath_set(uint32_t dp UNUSED, const struct datapath_config *a1 UNUSED)
{
    return error_set(ENOSYS, "datapath_set: not built into this version");
}

__attribute__((weak)) int
datapath_close(uint32_t dp UNUSED)
{
    return error_set(ENOSYS, "datapath_close: not built into this version");
}

__attribute__((weak)) int
datapath_stats_get(uint32_t dp UNUSED, struct datapath_stats *a1 UNUSED)
{
    return error_set(ENOSYS, "datapath_stats_get: not built into this version");
}

__attribute__((weak)) int
drops_get(uint32_t dp UNUSED, uint64_t *counts UNUSED, uint32_t n UNUSED)
{
    return error_set(ENOSYS, "drops_get: not built into this version");
}

__attribute__((weak)) int
port_add(uint32_t dp UNUSED, const struct port_config *a1 UNUSED)
{
    return error_set(ENOSYS, "port_add: not built into this version");
}

__attribute__((weak)) int
port_set(uint32_t dp UNUSED, const struct port_config *a1 UNUSED)
{
    return error_set(ENOSYS, "port_set: not built into this version");
}

__attribute__((weak)) int
port_del(uint32_t dp UNUSED, uint32_t odp UNUSED)
{
    return error_set(ENOSYS, "port_del: not built into this version");
}

__attribute__((weak)) int
port_stats_get(uint32_t dp UNUSED, uint32_t odp UNUSED, struct port_stats *a2
    UNUSED)
{
    return error_set(ENOSYS, "port_stats_get: not built into this version");
}

__attribute__((weak)) int
port_receive(uint32_t dp UNUSED, uint32_t odp UNUSED, uint32_t queue UNUSED,
    const uint8_t *frame UNUSED, uint32_t size UNUSED)
{
    return error_set(ENOSYS, "port_receive: not built into this version");
}

__attribute__((weak)) int
bridge_add(uint32_t dp UNUSED, const struct bridge_config *a1 UNUSED, uint32_t
    *bridge UNUSED)
{
    return error_set(ENOSYS, "bridge_add: not built into this version");
}

__attribute__((weak)) int
bridge_set(uint32_t bridge UNUSED, const struct bridge_config *a1 UNUSED)
{
    return error_set(ENOSYS, "bridge_set: not built into this version");
}

__attribute__((weak)) int
bridge_del(uint32_t bridge UNUSED)
{
    return error_set(ENOSYS, "bridge_del: not built into this version");
}

__attribute__((weak)) int
bridge_ports_set(uint32_t bridge UNUSED, const struct bridge_port *a1 UNUSED,
    uint32_t n UNUSED)
{
    return error_set(ENOSYS, "bridge_ports_set: not built into this version");
}

__attribute__((weak)) int
bundles_set(uint32_t bridge UNUSED, const struct bundle *a1 UNUSED, uint32_t n
    UNUSED, const uint32_t *members UNUSED, uint32_t n_members UNUSED)
{
    return error_set(ENOSYS, "bundles_set: not built into this version");
}

__attribute__((weak)) int
mirrors_set(uint32_t bridge UNUSED, const struct mirror *a1 UNUSED, uint32_t n
    UNUSED, const uint32_t *bundles UNUSED, uint32_t n_bundles UNUSED)
{
    return error_set(ENOSYS, "mirrors_set: not built into this version");
}

__attribute__((weak)) int
bridge_port_stats_get(uint32_t bridge UNUSED, uint32_t ofp UNUSED, struct
    bridge_port_stats *a2 UNUSED)
{
    return error_set(ENOSYS, "bridge_port_stats_get: not built into this version");
}

__attribute__((weak)) int
macs_dump(uint32_t bridge UNUSED, uint64_t *cursor UNUSED, struct mac_entry *a2
    UNUSED, uint32_t max UNUSED, uint32_t *n UNUSED)
{
    return error_set(ENOSYS, "macs_dump: not built into this version");
}

__attribute__((weak)) int
mac_set(uint32_t bridge UNUSED, const struct mac_entry *a1 UNUSED)
{
    return error_set(ENOSYS, "mac_set: not built into this version");
}

__attribute__((weak)) int
mac_del(uint32_t bridge UNUSED, const struct mac_entry *a1 UNUSED)
{
    return error_set(ENOSYS, "mac_del: not built into this version");
}

__attribute__((weak)) int
macs_flush(uint32_t bridge UNUSED)
{
    return error_set(ENOSYS, "macs_flush: not built into this version");
}

__attribute__((weak)) int
mac_stats_get(uint32_t bridge UNUSED, struct mac_stats *a1 UNUSED, bool clear
    UNUSED)
{
    return error_set(ENOSYS, "mac_stats_get: not built into this version");
}

__attribute__((weak)) int
version_open(uint32_t dp UNUSED, uint64_t *version UNUSED)
{
    return error_set(ENOSYS, "version_open: not built into this version");
}

__attribute__((weak)) int
rules_stage(uint64_t version UNUSED, struct rule_change *a1 UNUSED, uint32_t n
    UNUSED, const uint8_t *blob UNUSED, uint32_t blob_size UNUSED)
{
    return error_set(ENOSYS, "rules_stage: not built into this version");
}

__attribute__((weak)) int
version_commit(uint64_t version UNUSED)
{
    return error_set(ENOSYS, "version_commit: not built into this version");
}

__attribute__((weak)) int
version_abort(uint64_t version UNUSED)
{
    return error_set(ENOSYS, "version_abort: not built into this version");
}

__attribute__((weak)) bool
version_reached(uint32_t dp UNUSED, uint64_t version UNUSED)
{
    return false;
}

__attribute__((weak)) uint64_t
version_current(uint32_t dp UNUSED)
{
    return 0;
}

__attribute__((weak)) int
rules_dump(const struct rule_filter *a0 UNUSED, const uint8_t *match UNUSED,
    uint64_t *cursor UNUSED, uint8_t *buffer UNUSED, uint32_t size UNUSED,
    uint32_t *n_bytes UNUSED, uint32_t *n_records UNUSED)
{
    return error_set(ENOSYS, "rules_dump: not built into this version");
}

__attribute__((weak)) int
rule_get(uint64_t rule UNUSED, uint8_t *buffer UNUSED, uint32_t size UNUSED,
    uint32_t *n_bytes UNUSED)
{
    return error_set(ENOSYS, "rule_get: not built into this version");
}

__attribute__((weak)) int
tables_stats_get(uint32_t bridge UNUSED, struct table_stats *a1 UNUSED,
    uint32_t n UNUSED)
{
    return error_set(ENOSYS, "tables_stats_get: not built into this version");
}

__attribute__((weak)) int
table_set(uint32_t bridge UNUSED, uint32_t table UNUSED, const struct
    table_config *a2 UNUSED)
{
    return error_set(ENOSYS, "table_set: not built into this version");
}

__attribute__((weak)) int
groups_stage(uint64_t version UNUSED, struct group_change *a1 UNUSED, uint32_t
    n UNUSED, const uint8_t *blob UNUSED, uint32_t blob_size UNUSED)
{
    return error_set(ENOSYS, "groups_stage: not built into this version");
}

__attribute__((weak)) int
groups_dump(uint32_t bridge UNUSED, uint32_t group UNUSED, uint64_t *cursor
    UNUSED, uint8_t *buffer UNUSED, uint32_t size UNUSED, uint32_t *n_bytes
    UNUSED, uint32_t *n_records UNUSED)
{
    return error_set(ENOSYS, "groups_dump: not built into this version");
}

__attribute__((weak)) int
flows_dump(uint32_t dp UNUSED, uint64_t *cursor UNUSED, uint8_t *buffer UNUSED,
    uint32_t size UNUSED, uint32_t *n_bytes UNUSED, uint32_t *n_records UNUSED)
{
    return error_set(ENOSYS, "flows_dump: not built into this version");
}

__attribute__((weak)) int
flow_put(uint32_t dp UNUSED, const uint8_t *key_mask UNUSED, const uint8_t
    *actions UNUSED, uint32_t actions_size UNUSED, bool may_exist UNUSED, bool
    must_exist UNUSED)
{
    return error_set(ENOSYS, "flow_put: not built into this version");
}

__attribute__((weak)) int
flow_del(uint32_t dp UNUSED, const uint8_t *key_mask UNUSED)
{
    return error_set(ENOSYS, "flow_del: not built into this version");
}

__attribute__((weak)) int
flows_flush(uint32_t dp UNUSED)
{
    return error_set(ENOSYS, "flows_flush: not built into this version");
}

__attribute__((weak)) int
flows_revalidate(uint32_t dp UNUSED)
{
    return error_set(ENOSYS, "flows_revalidate: not built into this version");
}

__attribute__((weak)) int
flows_pause(uint32_t dp UNUSED, bool paused UNUSED)
{
    return error_set(ENOSYS, "flows_pause: not built into this version");
}

__attribute__((weak)) int
flows_settle(uint32_t dp UNUSED)
{
    return error_set(ENOSYS, "flows_settle: not built into this version");
}

__attribute__((weak)) int
flow_trace(uint32_t dp UNUSED, uint32_t start_bridge UNUSED, const uint8_t
    *flow UNUSED, const uint8_t *frame UNUSED, uint32_t frame_size UNUSED, bool
    learn UNUSED, const uint8_t *program UNUSED, uint32_t program_size UNUSED,
    struct trace_event *a8 UNUSED, uint32_t max_events UNUSED, uint8_t
    *final_flow UNUSED, uint8_t *mask UNUSED, uint8_t *actions UNUSED, uint32_t
    max_actions UNUSED, struct translation *a14 UNUSED)
{
    return error_set(ENOSYS, "flow_trace: not built into this version");
}

__attribute__((weak)) int
frozen_get(uint32_t dp UNUSED, uint32_t recirc_id UNUSED, uint8_t *buffer
    UNUSED, uint32_t size UNUSED, uint32_t *n_bytes UNUSED)
{
    return error_set(ENOSYS, "frozen_get: not built into this version");
}

__attribute__((weak)) int
packets_inject(const struct injection *a0 UNUSED, uint32_t n UNUSED, const
    uint8_t *blob UNUSED, uint32_t blob_size UNUSED)
{
    return error_set(ENOSYS, "packets_inject: not built into this version");
}

__attribute__((weak)) int
frame_parse(const uint8_t *frame UNUSED, uint32_t size UNUSED, uint32_t in_port
    UNUSED, uint8_t *flow UNUSED)
{
    return error_set(ENOSYS, "frame_parse: not built into this version");
}

__attribute__((weak)) int
frame_compose(const uint8_t *flow UNUSED, uint32_t payload_size UNUSED, uint8_t
    *frame UNUSED, uint32_t max UNUSED, uint32_t *size UNUSED)
{
    return error_set(ENOSYS, "frame_compose: not built into this version");
}

__attribute__((weak)) int
upcall_fd(uint32_t queue UNUSED, int *fd UNUSED)
{
    return error_set(ENOSYS, "upcall_fd: not built into this version");
}

__attribute__((weak)) int
upcalls_take(uint32_t queue UNUSED, uint8_t *buffer UNUSED, uint32_t size
    UNUSED, uint32_t *n_bytes UNUSED, uint32_t *n_records UNUSED)
{
    return error_set(ENOSYS, "upcalls_take: not built into this version");
}

__attribute__((weak)) int
worker_stats_get(uint32_t worker UNUSED, struct worker_stats *a1 UNUSED)
{
    return error_set(ENOSYS, "worker_stats_get: not built into this version");
}

__attribute__((weak)) int
memory_stats_get(struct memory_stats *a0 UNUSED)
{
    return error_set(ENOSYS, "memory_stats_get: not built into this version");
}
