/* A C-STORE SCU that is never the bottleneck: P-DATA prepared in memory, one send() loop for each object, every answer read.
 *
 *   ingest_sender PORT CALLED_AE_TITLE ASSOCIATIONS nodelay|nagle FILE...
 *
 * Files are CT Image Storage in explicit VR little endian; each association sends its share of them one after the other.
 * nagle leaves Nagle's algorithm on, as DCMTK does. Prints one JSON object; exit code 1 if an answer was not Success.
 * gcc -O2 -pthread */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CT_IMAGE_STORAGE "1.2.840.10008.5.1.4.1.1.2"
#define EXPLICIT_LITTLE_ENDIAN "1.2.840.10008.1.2.1"
enum { LONGEST_PDU = 131072, META = 144 };

struct message { uint8_t *bytes; size_t length; };
struct job { int from, to, refused; double began, ended; };

static struct message *messages;
static double *latencies;
static const char *called;
static int port, has_nodelay;
static uint32_t peer_pdu;
static pthread_barrier_t start;

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static void fail(const char *what) { perror(what); exit(2); }
static uint32_t be32_at(const uint8_t *p) { return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]; }
static uint16_t be16_at(const uint8_t *p) { return p[0] << 8 | p[1]; }
static uint32_t le32_at(const uint8_t *p) { return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24; }
static void put_be32(uint8_t *p, uint32_t v) { p[0] = v >> 24, p[1] = v >> 16, p[2] = v >> 8, p[3] = v; }

static void send_all(int s, const uint8_t *from, size_t n) {
    while (n) {
        ssize_t k = send(s, from, n, MSG_NOSIGNAL);
        if (k <= 0) fail("send");
        from += k, n -= k;
    }
}

static void read_all(int s, uint8_t *to, size_t n) {
    while (n) {
        ssize_t k = recv(s, to, n, 0);
        if (k <= 0) fail("recv");
        to += k, n -= k;
    }
}

static size_t put_item(uint8_t *p, uint8_t type, const void *value, size_t n) {
    p[0] = type, p[1] = 0, p[2] = n >> 8, p[3] = n;
    memcpy(p + 4, value, n);
    return n + 4;
}

/* Opens an association for CT; sets `peer_pdu` (PS3.8 9.3.2, 9.3.3, D.1). */
static int associate(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uint8_t b[4096] = {1}, context[256] = {1}, user[64], *answer, head[6];
    int s = socket(AF_INET, SOCK_STREAM, 0), is_accepted = 0;
    size_t o = 74, n = 4;
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &has_nodelay, sizeof has_nodelay);
    if (connect(s, (void *)&address, sizeof address)) fail("connect");
    b[7] = 1;
    memset(b + 10, ' ', 32), memcpy(b + 10, called, strlen(called)), memcpy(b + 26, "SENDER", 6);
    o += put_item(b + o, 0x10, "1.2.840.10008.3.1.1.1", 21);
    n += put_item(context + n, 0x30, CT_IMAGE_STORAGE, strlen(CT_IMAGE_STORAGE));
    n += put_item(context + n, 0x40, EXPLICIT_LITTLE_ENDIAN, strlen(EXPLICIT_LITTLE_ENDIAN));
    o += put_item(b + o, 0x20, context, n);
    n = put_item(user, 0x51, "\0\2\0\0", 4), n += put_item(user + n, 0x52, "1.2.3.4", 7);
    o += put_item(b + o, 0x50, user, n);
    put_be32(b + 2, o - 6);
    send_all(s, b, o);
    read_all(s, head, 6), n = be32_at(head + 2), answer = malloc(n), read_all(s, answer, n);
    for (size_t p = 68; head[0] == 2 && p + 4 <= n; p += 4 + be16_at(answer + p + 2)) {
        if (answer[p] == 0x21) is_accepted = answer[p + 6] == 0;
        for (size_t q = p + 4; answer[p] == 0x50 && q < p + 4 + be16_at(answer + p + 2); q += 4 + be16_at(answer + q + 2))
            if (answer[q] == 0x51) peer_pdu = be32_at(answer + q + 4);
    }
    free(answer);
    if (!is_accepted) { fprintf(stderr, "association not accepted\n"); exit(3); }
    return s;
}

static void release(int s) {
    uint8_t answer[10];
    send_all(s, (const uint8_t *)"\5\0\0\0\0\4\0\0\0\0", 10);
    for (size_t got = 0; got < 10;) {
        ssize_t k = recv(s, answer + got, 10 - got, 0);
        if (k <= 0) break;
        got += k;
    }
    close(s);
}

static size_t put_element(uint8_t *p, uint16_t element, const void *value, uint32_t n) {
    uint8_t head[8] = {0, 0, element, element >> 8, n, n >> 8};
    memcpy(p, head, 8), memcpy(p + 8, value, n);
    return 8 + n;
}

/* The PDUs of a C-STORE-RQ (PS3.7 9.3.1.1), as long as the peer and LONGEST_PDU allow. */
static struct message prepare(const uint8_t *file, size_t size, uint16_t message_id) {
    uint8_t command[512], number[2], uid[66] = {0}, length[4] = {0};
    size_t end = META + le32_at(file + META - 4), uid_length = 0, o = 12, most = (peer_pdu && peer_pdu < LONGEST_PDU ? peer_pdu : LONGEST_PDU) - 6;
    for (size_t p = META; p < end;) {
        int is_long = !memcmp(file + p + 4, "OB", 2);
        size_t n = is_long ? le32_at(file + p + 8) : (size_t)(file[p + 6] | file[p + 7] << 8), at = p + (is_long ? 12 : 8);
        if (file[p + 2] == 3 && file[p + 3] == 0) memcpy(uid, file + at, uid_length = n);
        p = at + n;
    }
#define NUMBER(element, v) (number[0] = (v) & 255, number[1] = (v) >> 8, o += put_element(command + o, element, number, 2))
    o += put_element(command + o, 0x0002, CT_IMAGE_STORAGE, 26);
    NUMBER(0x0100, 1);
    NUMBER(0x0110, message_id);
    NUMBER(0x0700, 0);
    NUMBER(0x0800, 1);
    o += put_element(command + o, 0x1000, uid, uid_length);
    length[0] = (o - 12) & 255, length[1] = (o - 12) >> 8;
    put_element(command, 0x0000, length, 4);
    size_t rest = size - end, pdus = (rest + most - 1) / most;
    struct message m = {malloc(12 + o + rest + pdus * 12), 0};
    for (size_t i = 0, done = 0; i <= pdus; i++) {
        const uint8_t *from = i ? file + end + done : command;
        size_t n = !i ? o : rest - done < most ? rest - done : most;
        uint8_t *p = m.bytes + m.length;
        if (i) done += n;
        p[0] = 4, p[1] = 0, put_be32(p + 2, n + 6), put_be32(p + 6, n + 2), p[10] = 1, p[11] = !i ? 3 : done == rest ? 2 : 0;
        memcpy(p + 12, from, n);
        m.length += 12 + n;
    }
    return m;
}

/* Status (0000,0900) of the answer; answers of more than one PDU are not known here. */
static int read_status(int s) {
    uint8_t head[12], b[4096];
    read_all(s, head, 12);
    uint32_t n = be32_at(head + 2) - 6;
    if (head[0] != 4 || n > sizeof b || head[11] != 3) { fprintf(stderr, "unexpected PDU %d\n", head[0]); exit(4); }
    read_all(s, b, n);
    for (size_t p = 0; p + 8 <= n; p += 8 + le32_at(b + p + 4))
        if (b[p + 2] == 0x00 && b[p + 3] == 0x09) return b[p + 8] | b[p + 9] << 8;
    return -1;
}

static void *work(void *argument) {
    struct job *job = argument;
    /* Not between the two: some receivers serve one association after the other. */
    pthread_barrier_wait(&start);
    int s = associate();
    job->began = now();
    for (int i = job->from; i < job->to; i++) {
        double sent = now();
        send_all(s, messages[i].bytes, messages[i].length);
        job->refused += read_status(s) != 0;
        latencies[i] = now() - sent;
    }
    job->ended = now();
    release(s);
    return 0;
}

static int by_size(const void *a, const void *b) { double d = *(double *)a - *(double *)b; return d < 0 ? -1 : d > 0; }

int main(int count, char **arguments) {
    int n = count - 5, associations, refused = 0;
    if (n < 1) return 2;
    port = atoi(arguments[1]), called = arguments[2], associations = atoi(arguments[3]), has_nodelay = !strcmp(arguments[4], "nodelay");
    messages = calloc(n, sizeof *messages), latencies = calloc(n, sizeof *latencies);
    release(associate());
    for (int i = 0; i < n; i++) {
        struct stat status;
        int f = open(arguments[5 + i], O_RDONLY);
        if (f < 0 || fstat(f, &status)) fail(arguments[5 + i]);
        uint8_t *file = malloc(status.st_size);
        if (read(f, file, status.st_size) != status.st_size) fail("read");
        messages[i] = prepare(file, status.st_size, i % 65535 + 1);
        close(f), free(file);
    }
    pthread_t threads[64];
    struct job jobs[64] = {0};
    pthread_barrier_init(&start, 0, associations);
    for (int i = 0; i < associations; i++) {
        jobs[i].from = (long)n * i / associations, jobs[i].to = (long)n * (i + 1) / associations;
        pthread_create(&threads[i], 0, work, &jobs[i]);
    }
    double began = 1e300, ended = 0;
    for (int i = 0; i < associations; i++) {
        pthread_join(threads[i], 0);
        if (jobs[i].began < began) began = jobs[i].began;
        if (jobs[i].ended > ended) ended = jobs[i].ended;
        refused += jobs[i].refused;
    }
    qsort(latencies, n, sizeof *latencies, by_size);
    printf("{\"objects\": %d, \"refused\": %d, \"seconds\": %.6f, \"median_ms\": %.3f, \"p95_ms\": %.3f}\n", n, refused,
           ended - began, latencies[n / 2] * 1e3, latencies[(int)(n * 0.95)] * 1e3);
    return refused > 0;
}
