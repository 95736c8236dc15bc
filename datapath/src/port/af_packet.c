/* af_packet.c: ports on existing links ("system"), by packet socket.
 *
 * The control thread opens, binds and configures the socket and keeps the
 * descriptor (vswitchd/switch/linux.py); here frames are received and sent in
 * bursts by recvmmsg and sendmmsg, each behind a virtio-net header.  VLAN tags
 * that the kernel took off come as auxiliary data and are put back.
 *
 * Source: packet(7). */
#define _GNU_SOURCE              /* recvmmsg, sendmmsg. */
#include "port/kinds.h"

#include <linux/if_packet.h>
#include <sys/socket.h>

#include "port/vnet.h"

struct control {                /* Room for one PACKET_AUXDATA. */
    _Alignas(struct cmsghdr)
        char bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
};

struct af_packet {              /* Owner: the worker that receives. */
    struct mmsghdr messages[BURST];
    struct iovec iov[BURST][2];
    struct virtio_net_hdr headers[BURST];
    struct control control[BURST];
    uint8_t *buffers;           /* BURST times VNET_BUFFER bytes. */
};

static int
af_packet_open(struct port *port)
{
    if (port->config.fd < 0) {
        return error_set(EBADF, "port %s has no socket", port->config.name);
    }
    struct af_packet *a = xzalloc(sizeof *a);
    a->buffers = vnet_buffers(BURST);
    if (!a->buffers) {
        int error = errno;
        free(a);
        return error_set(error, "port %s: no receive buffers: %s",
                         port->config.name, strerror(error));
    }
    for (uint32_t i = 0; i < BURST; i++) {
        a->iov[i][0] = (struct iovec) { &a->headers[i], VNET_SIZE };
        a->iov[i][1] = (struct iovec) {
            a->buffers + (size_t) i * VNET_BUFFER + HEADROOM,
            VNET_BUFFER - HEADROOM - VNET_TAILROOM,
        };
        a->messages[i].msg_hdr.msg_iov = a->iov[i];
        a->messages[i].msg_hdr.msg_iovlen = 2;
        a->messages[i].msg_hdr.msg_control = &a->control[i];
    }
    port->private = a;
    return 0;
}

static void
af_packet_close(struct port *port)
{
    struct af_packet *a = port->private;
    munmap(a->buffers, (size_t) BURST * VNET_BUFFER);
    free(a);
}

/* Puts back the tag that came beside the frame. */
static void
restore_tag(struct packet *p, struct msghdr *m)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    if (!c || c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA
        || c->cmsg_len < CMSG_LEN(sizeof(struct tpacket_auxdata))) {
        return;
    }
    struct tpacket_auxdata aux;
    memcpy(&aux, CMSG_DATA(c), sizeof aux);
    if (UNLIKELY(aux.tp_status & TP_STATUS_VLAN_VALID)) {
        vnet_put_tag(p, aux.tp_status & TP_STATUS_VLAN_TPID_VALID
                        ? aux.tp_vlan_tpid : 0x8100, aux.tp_vlan_tci);
    }
}

static uint32_t
af_packet_receive(struct port *port, uint32_t queue UNUSED,
                  struct packet *burst, uint32_t max)
{
    struct af_packet *a = port->private;
    uint32_t n = 0;

    for (uint32_t i = 0; i < max; i++) {
        a->messages[i].msg_hdr.msg_controllen = sizeof a->control[i];
        a->messages[i].msg_hdr.msg_flags = 0;
    }
    int n_received = recvmmsg(port->config.fd, a->messages, max,
                              MSG_DONTWAIT | MSG_TRUNC, NULL);
    for (int i = 0; i < n_received; i++) {
        uint32_t size = a->messages[i].msg_len;
        struct packet *p = &burst[n];
        if (size < VNET_SIZE + 14
            || size - VNET_SIZE > a->iov[i][1].iov_len) {
            continue;           /* No Ethernet frame. */
        }
        packet_init(p, a->iov[i][1].iov_base, size - VNET_SIZE, HEADROOM,
                    port->config.odp);
        p->tailroom = VNET_TAILROOM;
        if (vnet_read(&a->headers[i], p)) {
            restore_tag(p, &a->messages[i].msg_hdr);
            n++;
        }
    }
    return n;
}

static uint32_t
af_packet_transmit(struct port *port, struct packet *burst, uint32_t n,
                   struct tx_context *tx)
{
    struct virtio_net_hdr headers[BURST];
    struct iovec iov[BURST][2];
    struct mmsghdr messages[BURST];
    uint32_t done = 0;

    memset(messages, 0, n * sizeof messages[0]);
    for (uint32_t i = 0; i < n; i++) {
        vnet_write(&headers[i], &burst[i]);
        iov[i][0] = (struct iovec) { &headers[i], VNET_SIZE };
        iov[i][1] = (struct iovec) { burst[i].data, burst[i].size };
        messages[i].msg_hdr.msg_iov = iov[i];
        messages[i].msg_hdr.msg_iovlen = 2;
    }
    while (done < n) {
        int sent = sendmmsg(port->config.fd, &messages[done], n - done,
                            MSG_DONTWAIT);
        if (sent > 0) {
            done += sent;
        } else if (errno == EAGAIN || errno == ENOBUFS) {
            break;
        } else if (errno != EINTR) {
            port_refused(port, &burst[done], errno, tx);
            done++;
        }
    }
    return done;
}

static int
af_packet_poll_fd(struct port *port, uint32_t queue UNUSED)
{
    return port->config.fd;
}

const struct port_ops port_system = {
    .kind = "system",
    .open = af_packet_open,
    .close = af_packet_close,
    .receive = af_packet_receive,
    .transmit = af_packet_transmit,
    .poll_fd = af_packet_poll_fd,
};
