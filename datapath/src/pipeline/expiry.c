/* expiry.c: what the pipeline does when time has come: rules that time out,
 * MACs that age, rules that were learned.
 *
 * Thread rule: control thread. */
#include "pipeline/private.h"

int64_t
pipeline_deadline(const struct pipeline *p_)
{
    struct pipeline *p = (struct pipeline *) p_;
    int64_t deadline = p->due ? p->next_expiry_ms : INT64_MAX;

    if (__atomic_load_n(&p->n_learned, __ATOMIC_RELAXED)
        || __atomic_load_n(&p->shortened, __ATOMIC_RELAXED)) {
        return clock_now();
    }
    for (struct bridge *b = p->bridges; b; b = b->next) {
        int64_t macs = mac_deadline(&b->macs, bridge_conf(b));
        deadline = MIN(deadline, macs);
    }
    return deadline;
}

int64_t
pipeline_expire(struct pipeline *p, int64_t now_ms, uint64_t *n_work)
{
    uint64_t n = learn_apply(p);

    rules_follow_shortened(p);
    for (struct bridge *b = p->bridges; b; b = b->next) {
        const struct conf *conf = bridge_conf(b);
        if (mac_deadline(&b->macs, conf) <= now_ms) {
            /* Megaflows in use refresh their MACs when they are settled. */
            if (pipeline_hooks.settle) {
                pipeline_hooks.settle(p->dp);
            }
            uint32_t expired = mac_expire(&b->macs, conf, now_ms);
            n += expired;
            if (expired) {
                pipeline_changed(p);
            }
        }
    }
    if (p->due && p->next_expiry_ms <= now_ms && !p->staged) {
        uint64_t version;
        uint8_t reason = 0;
        bool settled = false;
        int64_t next = INT64_MAX;

        version_open(p->dp, &version);
        for (struct rule *rule = p->due; rule; rule = rule->next_due) {
            int64_t deadline = rule_deadline(rule, &reason);
            if (deadline <= now_ms && !settled && pipeline_hooks.settle) {
                pipeline_hooks.settle(p->dp);
                settled = true;
                deadline = rule_deadline(rule, &reason);
            }
            if (deadline <= now_ms) {
                rules_stage_removal(p, rule, reason, version);
                n++;
            } else {
                next = MIN(next, deadline);
            }
        }
        version_commit(version);
        p->next_expiry_ms = next;
    }
    *n_work += n;
    return pipeline_deadline(p);
}
