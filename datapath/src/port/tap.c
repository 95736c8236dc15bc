/* tap.c: ports into the host's own stack ("tap", "internal").
 *
 * The control thread opens and configures the tap and keeps the descriptor
 * (vswitchd/switch/linux.py).  What the host sends out of the device is read
 * here, what the switch sends to it is written.  Every frame has a virtio-net
 * header in front.
 *
 * Source: Linux Documentation/networking/tuntap.rst. */
#include "port/kinds.h"

#include <sys/uio.h>

#include "port/vnet.h"

struct tap {                    /* Owner: the worker that receives. */
    uint8_t *buffers;           /* BURST times VNET_BUFFER bytes. */
};

static int
tap_open(struct port *port)
{
    if (port->config.fd < 0) {
        return error_set(EBADF, "port %s has no tap", port->config.name);
    }
    struct tap *t = xzalloc(sizeof *t);
    t->buffers = vnet_buffers(BURST);
    if (!t->buffers) {
        int error = errno;
        free(t);
        return error_set(error, "port %s: no receive buffers: %s",
                         port->config.name, strerror(error));
    }
    port->private = t;
    return 0;
}

static void
tap_close(struct port *port)
{
    struct tap *t = port->private;
    munmap(t->buffers, (size_t) BURST * VNET_BUFFER);
    free(t);
}

static uint32_t
tap_receive(struct port *port, uint32_t queue UNUSED, struct packet *burst,
            uint32_t max)
{
    struct tap *t = port->private;
    uint32_t n = 0;

    for (uint32_t i = 0; i < max; i++) {
        struct virtio_net_hdr header;
        uint8_t *data = t->buffers + (size_t) i * VNET_BUFFER + HEADROOM;
        struct iovec iov[2] = {
            { &header, VNET_SIZE },
            { data, VNET_BUFFER - HEADROOM - VNET_TAILROOM },
        };
        ssize_t size = readv(port->config.fd, iov, 2);
        if (size < 0) {
            break;              /* Empty, or the device is gone. */
        }
        if (size < VNET_SIZE + 14) {
            continue;           /* No Ethernet frame. */
        }
        packet_init(&burst[n], data, size - VNET_SIZE, HEADROOM,
                    port->config.odp);
        burst[n].tailroom = VNET_TAILROOM;
        n += vnet_read(&header, &burst[n]);
    }
    return n;
}

static uint32_t
tap_transmit(struct port *port, struct packet *burst, uint32_t n,
             struct tx_context *tx)
{
    for (uint32_t i = 0; i < n; i++) {
        struct virtio_net_hdr header;
        vnet_write(&header, &burst[i]);
        struct iovec iov[2] = {
            { &header, VNET_SIZE }, { burst[i].data, burst[i].size },
        };
        while (writev(port->config.fd, iov, 2) < 0) {
            if (errno == EAGAIN) {
                return i;
            }
            if (errno != EINTR) {
                port_refused(port, &burst[i], errno, tx);
                break;
            }
        }
    }
    return n;
}

static int
tap_poll_fd(struct port *port, uint32_t queue UNUSED)
{
    return port->config.fd;
}

#define TAP(KIND)                                                       \
    {                                                                   \
        .kind = KIND, .open = tap_open, .close = tap_close,             \
        .receive = tap_receive, .transmit = tap_transmit,               \
        .poll_fd = tap_poll_fd,                                         \
    }

const struct port_ops port_tap = TAP("tap");
const struct port_ops port_internal = TAP("internal");
