/* credit.c: credits: whom a translation's packets count for, and what they
 * bring about when they are settled.
 *
 * Any thread inside an epoch. */
#include "translation/xlate.h"

struct credit *
xlate_credit(struct xlate *x, enum credit_kind kind, void *object)
{
    if (x->n_credits == x->allocated_credits) {
        uint32_t n = x->allocated_credits * 2;
        if (x->credits == x->credit_room) {
            x->credits = xmalloc(n * sizeof *x->credits);
            memcpy(x->credits, x->credit_room, sizeof x->credit_room);
        } else {
            x->credits = xrealloc(x->credits, n * sizeof *x->credits);
        }
        x->allocated_credits = n;
    }
    struct credit *credit = &x->credits[x->n_credits++];
    memset(credit, 0, sizeof *credit);
    credit->kind = kind;
    credit->object = object;
    return credit;
}

void
xlate_credit_rule(struct xlate *x, struct rule *rule)
{
    rule_ref(rule);
    xlate_credit(x, CREDIT_RULE, rule);
}

void
xlate_credit_counters(struct xlate *x, struct counters *counters)
{
    counters_ref(counters);
    xlate_credit(x, CREDIT_COUNTERS, counters);
}

void
xlate_credit_table(struct xlate *x, uint8_t table, bool matched)
{
    bridge_ref(x->bridge);
    xlate_credit(x, matched ? CREDIT_MATCHED : CREDIT_MISSED,
                 x->bridge)->table = table;
}

static void
credit_release(struct pipeline *p, struct credit *c)
{
    switch ((enum credit_kind) c->kind) {
    case CREDIT_RULE:
    case CREDIT_FIN_TIMEOUT:
        rule_unref(c->object);
        break;
    case CREDIT_MATCHED:
    case CREDIT_MISSED:
    case CREDIT_MAC:
        bridge_unref(c->object);
        break;
    case CREDIT_COUNTERS:
        counters_unref(c->object);
        break;
    case CREDIT_GROUP:
        group_unref(c->object);
        break;
    case CREDIT_FROZEN:
        frozen_unref(p, c->object);
        break;
    case CREDIT_LEARN:
        learned_unref(c->object);
        break;
    }
}

void
credits_unref(struct credits *credits)
{
    if (credits
        && !__atomic_sub_fetch(&credits->refs, 1, __ATOMIC_ACQ_REL)) {
        for (uint32_t i = 0; i < credits->n; i++) {
            credit_release(credits->pipeline, &credits->entries[i]);
        }
        free(credits);
    }
}

void
credits_settle(struct credits *credits, uint64_t n_packets, uint64_t n_bytes,
               int64_t used_ms, uint16_t tcp_flags)
{
    if (!credits || !n_packets) {
        return;
    }
    for (uint32_t i = 0; i < credits->n; i++) {
        struct credit *c = &credits->entries[i];
        switch ((enum credit_kind) c->kind) {
        case CREDIT_RULE:
            counters_add(((struct rule *) c->object)->counters, n_packets,
                         n_bytes, used_ms);
            break;
        case CREDIT_MATCHED:
        case CREDIT_MISSED: {
            struct table *t = &((struct bridge *) c->object)->tables[c->table];
            __atomic_add_fetch(c->kind == CREDIT_MATCHED ? &t->n_matched
                               : &t->n_missed, n_packets, __ATOMIC_RELAXED);
            break;
        }
        case CREDIT_COUNTERS:
            counters_add(c->object, n_packets, n_bytes, used_ms);
            break;
        case CREDIT_GROUP:
            counters_add(((struct group *) c->object)->counters, n_packets,
                         n_bytes, used_ms);
            break;
        case CREDIT_MAC: {
            struct bridge *bridge = c->object;
            if (!__atomic_load_n(&bridge->dead, __ATOMIC_RELAXED)
                && mac_learn(&bridge->macs, bridge_conf(bridge), c->mac,
                             c->vlan, c->bundle, c->table & 1, c->table & 2,
                             true, used_ms)) {
                pipeline_changed(bridge->pipeline);
            }
            break;
        }
        case CREDIT_FIN_TIMEOUT:
            if (tcp_flags & 5) {        /* FIN or RST. */
                struct rule *rule = c->object;
                rule_shorten(credits->pipeline, rule, c->vlan, c->bundle);
            }
            break;
        case CREDIT_LEARN:
            learn_later(credits->pipeline, c->object);
            break;
        case CREDIT_FROZEN:
            break;
        }
    }
}
