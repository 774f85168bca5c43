/* The limit of a C-STORE SCP on a machine: receives objects and writes them, and does nothing else.
 *
 *   ingest_receiver PORT FOLDER write|fsync|durable
 *
 * write:   one write() for each file, no sync (as DCMTK's storescp).
 * fsync:   the same, fsync of each file.
 * durable: what dicom-node promises with its Success: fsync of the file, rename, fsync of the folder, then 32 KiB (a row
 *          in SQLite's WAL) appended to one log and synced; associations that wait share that sync.
 *
 * One thread for each association, explicit VR little endian is preferred, answers are always Success. It trusts its
 * peer: not for a network. gcc -O2 -pthread */
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
#include <unistd.h>

enum mode { WRITE, FSYNC, DURABLE };
enum { MAX_PDU = 131072, MAX_OBJECT = 64 << 20, ROW = 32768 };

static const char *folder;
static enum mode mode;
static int log_file, folder_file;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t log_synced = PTHREAD_COND_INITIALIZER;
static uint64_t rows_asked, rows_synced;
static int is_syncing;

static uint32_t be32_at(const uint8_t *p) { return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]; }
static uint16_t be16_at(const uint8_t *p) { return p[0] << 8 | p[1]; }
static void put_be32(uint8_t *p, uint32_t v) { p[0] = v >> 24, p[1] = v >> 16, p[2] = v >> 8, p[3] = v; }
static void put_le32(uint8_t *p, uint32_t v) { p[0] = v, p[1] = v >> 8, p[2] = v >> 16, p[3] = v >> 24; }

static int read_all(int s, uint8_t *to, size_t n) {
    while (n) {
        ssize_t k = recv(s, to, n, MSG_WAITALL);
        if (k <= 0) return -1;
        to += k, n -= k;
    }
    return 0;
}

/* An element of group 0000 (implicit VR little endian); returns its length. */
static size_t put_element(uint8_t *p, uint16_t element, const void *value, uint32_t n) {
    p[0] = p[1] = 0, p[2] = element, p[3] = element >> 8;
    put_le32(p + 4, n);
    memcpy(p + 8, value, n);
    return 8 + n;
}

/* Preamble, prefix and file meta information (PS3.10 7.1); returns their length. */
static size_t put_meta(uint8_t *b, const char *sop_uid) {
    const char *uids[][2] = {{"\x02\0", "1.2.840.10008.5.1.4.1.1.2"}, {"\x03\0", sop_uid}, {"\x10\0", "1.2.840.10008.1.2.1"}, {"\x12\0", "1.2.3.4"}};
    uint8_t *p = b + 144;
    memset(b, 0, 128);
    memcpy(b + 128, "DICM\2\0\0\0UL\4\0", 12);
    memcpy(p, "\2\0\1\0OB\0\0\2\0\0\0\0\1", 14), p += 14;
    for (int i = 0; i < 4; i++) {
        size_t n = strlen(uids[i][1]), even = n + (n & 1);
        p[0] = 2, p[1] = 0, p[2] = uids[i][0][0], p[3] = 0, p[4] = 'U', p[5] = 'I', p[6] = even, p[7] = 0;
        p[8 + even - 1] = 0;
        memcpy(p + 8, uids[i][1], n);
        p += 8 + even;
    }
    put_le32(b + 140, p - b - 144);
    return p - b;
}

static void commit_row(void) {
    static uint8_t row[ROW];
    pthread_mutex_lock(&log_lock);
    uint64_t mine = ++rows_asked;
    if (pwrite(log_file, row, ROW, mine % 128 * ROW) != ROW) perror("log");
    while (rows_synced < mine) {
        if (is_syncing) {
            pthread_cond_wait(&log_synced, &log_lock);
            continue;
        }
        uint64_t all = rows_asked;
        is_syncing = 1;
        pthread_mutex_unlock(&log_lock);
        fsync(log_file);
        pthread_mutex_lock(&log_lock);
        is_syncing = 0, rows_synced = all;
        pthread_cond_broadcast(&log_synced);
    }
    pthread_mutex_unlock(&log_lock);
}

static void store(const uint8_t *object, size_t n, const char *sop_uid) {
    char place[400], part[410];
    snprintf(place, sizeof place, "%s/%s", folder, sop_uid);
    snprintf(part, sizeof part, "%s%s", place, mode == DURABLE ? ".part" : "");
    int f = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    for (size_t done = 0; done < n;) {
        ssize_t k = write(f, object + done, n - done);
        if (k <= 0) { perror("write"); exit(1); }
        done += k;
    }
    if (mode != WRITE) fsync(f);
    close(f);
    if (mode != DURABLE) return;
    rename(part, place);
    fsync(folder_file);
    commit_row();
}

static void answer(int s, uint8_t context, uint16_t message_id, const char *sop_uid) {
    uint8_t b[400] = {4}, n16[2], n32[4];
    size_t o = 24, uid_length = strlen(sop_uid);
#define NUMBER(element, v) (n16[0] = (v) & 255, n16[1] = (v) >> 8, o += put_element(b + o, element, n16, 2))
    o += put_element(b + o, 0x0002, "1.2.840.10008.5.1.4.1.1.2\0", 26);
    NUMBER(0x0100, 0x8001);
    NUMBER(0x0120, message_id);
    NUMBER(0x0800, 0x0101);
    NUMBER(0x0900, 0);
    o += put_element(b + o, 0x1000, sop_uid, uid_length + (uid_length & 1));
    put_le32(n32, o - 24);
    put_element(b + 12, 0x0000, n32, 4);
    put_be32(b + 2, o - 6), put_be32(b + 6, o - 10), b[10] = context, b[11] = 3;
    send(s, b, o, MSG_NOSIGNAL);
}

/* A-ASSOCIATE-AC for every context that was asked for (PS3.8 9.3.3). */
static void accept_association(int s, const uint8_t *rq, size_t n) {
    static const char preferred[] = "1.2.840.10008.1.2.1";
    uint8_t b[32768] = {2};
    size_t o = 74;
    b[7] = 1;
    memcpy(b + 10, rq + 4, 32);
    memcpy(b + o, "\x10\0\0\x15" "1.2.840.10008.3.1.1.1", 25), o += 25;
    for (size_t p = 68; p + 4 <= n; p += 4 + be16_at(rq + p + 2)) {
        const uint8_t *item = rq + p + 4, *syntax = 0;
        if (rq[p] != 0x20) continue;
        for (size_t q = 4; q < be16_at(rq + p + 2); q += 4 + be16_at(item + q + 2)) {
            int is_preferred = be16_at(item + q + 2) == 19 && !memcmp(item + q + 4, preferred, 19);
            if (item[q] == 0x40 && (!syntax || is_preferred)) syntax = item + q;
        }
        uint16_t length = be16_at(syntax + 2);
        uint8_t head[12] = {0x21, 0, 0, 8 + length, item[0], 0, 0, 0, 0x40, 0, 0, length};
        memcpy(b + o, head, 12), memcpy(b + o + 12, syntax + 4, length), o += 12 + length;
    }
    memcpy(b + o, "\x50\0\0\x13\x51\0\0\4", 8), put_be32(b + o + 8, MAX_PDU);
    memcpy(b + o + 12, "\x52\0\0\x07" "1.2.3.4", 11), o += 23;
    put_be32(b + 2, o - 6);
    send(s, b, o, MSG_NOSIGNAL);
}

static void *serve(void *connection) {
    int s = (int)(long)connection, one = 1;
    uint8_t head[12], command[4096], *request = malloc(1 << 20), *object = malloc(MAX_OBJECT);
    char sop_uid[66] = "";
    size_t command_length = 0, length = 0;
    uint16_t message_id = 0;
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (read_all(s, head, 6) || head[0] != 1 || be32_at(head + 2) > 1 << 20) goto end;
    if (read_all(s, request, be32_at(head + 2))) goto end;
    accept_association(s, request, be32_at(head + 2));
    while (!read_all(s, head, 6)) {
        if (head[0] == 5) {
            send(s, "\6\0\0\0\0\4\0\0\0\0", 10, MSG_NOSIGNAL);
            read_all(s, head, 1);
        }
        if (head[0] != 4) break;
        for (uint32_t left = be32_at(head + 2), n; left; left -= n + 6) {
            uint8_t pdv[6];
            if (read_all(s, pdv, 6)) goto end;
            n = be32_at(pdv) - 2;
            uint8_t *to = pdv[5] & 1 ? command + command_length : object + length;
            if ((pdv[5] & 1 ? command_length + n > sizeof command : length + n > MAX_OBJECT) || read_all(s, to, n)) goto end;
            *(pdv[5] & 1 ? &command_length : &length) += n;
            if (pdv[5] == 3) {
                for (size_t p = 0; p + 8 <= command_length; p += 8 + (command[p + 4] | command[p + 5] << 8)) {
                    uint16_t element = command[p + 2] | command[p + 3] << 8, value = command[p + 4];
                    if (element == 0x0110) message_id = command[p + 8] | command[p + 9] << 8;
                    if (element == 0x1000) memcpy(sop_uid, command + p + 8, value), sop_uid[value] = 0;
                }
                command_length = 0, length = put_meta(object, sop_uid);
            }
            if (pdv[5] == 2) {
                store(object, length, sop_uid);
                answer(s, pdv[4], message_id, sop_uid);
            }
        }
    }
end:
    close(s), free(request), free(object);
    return 0;
}

int main(int count, char **arguments) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    char path[400];
    if (count != 4) return 2;
    address.sin_port = htons(atoi(arguments[1])), folder = arguments[2];
    mode = !strcmp(arguments[3], "write") ? WRITE : !strcmp(arguments[3], "fsync") ? FSYNC : DURABLE;
    snprintf(path, sizeof path, "%s/log", folder);
    folder_file = open(folder, O_RDONLY | O_DIRECTORY), log_file = open(path, O_RDWR | O_CREAT, 0640);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s, (void *)&address, sizeof address) || listen(s, 64)) return perror("listen"), 1;
    for (;;) {
        pthread_t thread;
        int connection = accept(s, 0, 0);
        if (connection >= 0 && !pthread_create(&thread, 0, serve, (void *)(long)connection)) pthread_detach(thread);
    }
}
