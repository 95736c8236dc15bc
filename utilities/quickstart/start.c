/* A tool of the suite: Python without what a tool does not need of it.
 *
 * The program is one for all tools; the name of its file says which one it
 * is.  Everything else it needs lies in a bundle (see build.py for its
 * layout), mapped into memory: where Python's library and our modules are, and
 * the code of the modules.  Python is told all paths instead of looking for
 * them, reads no environment variable and no site package, and finds the
 * modules that it loads before any importer exists ("early" ones) in the
 * bundle, too.  The module "_quickstart" (importer.py) does the rest.
 *
 * Some command lines of some tools are carried out before that ("shorts"), and
 * --version alone, whose answers build.py has written into versions.h.
 *
 * Compiled by build.py with LIBRARY_NAME, the bundle's path relative to the
 * virtual environment, and BUNDLE, its absolute path at build time. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../ofctl/short.h"
#include "versions.h"

#define MAX_EARLY 16

/* Where each string of the bundle's header is. */
enum { STDLIB, DYNLOAD, PREFIX, EXEC_PREFIX, ROOT, SITE, PYTHON, FIRST_ROOT,
       N_STRINGS };

/* A module that Python loads before our importer is there. */
struct early {
    uint32_t name;              /* Offset of its name. */
    uint32_t code;              /* Offset of its marshalled code. */
    uint32_t size;              /* Size of that. */
    uint32_t is_package;
};

/* The beginning of a bundle; offsets are from there, strings end in NUL. */
struct bundle {
    char magic[8];
    uint32_t size;              /* Of the whole file. */
    uint32_t version;           /* PY_VERSION_HEX of who wrote the code. */
    uint32_t index;             /* Offset of the importer's table... */
    uint32_t index_size;        /* ...and its size. */
    uint32_t strings[N_STRINGS];
    uint32_t n_early;
    struct early early[MAX_EARLY];
};

static const char magic[8] = "pyvsw-1";
static struct _frozen frozen[MAX_EARLY + 1];

static void
die(const char *what)
{
    fprintf(stderr, "%s (make build makes it anew)\n", what);
    exit(1);
}

/* Maps the file 'path' if it is a bundle for this program.  Returns NULL if it
 * is not. */
static const struct bundle *
bundle_open(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    const struct bundle *bundle = NULL;
    if (!fstat(fd, &status) && status.st_size > (off_t) sizeof *bundle) {
        void *memory = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE,
                            fd, 0);
        bundle = memory == MAP_FAILED ? NULL : memory;
    }
    close(fd);
    if (!bundle || memcmp(bundle->magic, magic, sizeof magic)
        || bundle->size != status.st_size || bundle->version != PY_VERSION_HEX
        || bundle->n_early > MAX_EARLY) {
        return NULL;
    }
    return bundle;
}

/* Writes into 'name' the name of this program, whatever link led to it, and
 * into 'path' the directory two levels above it, the virtual environment.
 * Returns false if they cannot be told. */
static int
find_environment(char path[PATH_MAX], char name[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = '\0';
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(path, '/');
        if (!slash) {
            return 0;
        }
        if (!i) {
            strcpy(name, slash + 1);
        }
        *slash = '\0';
    }
    return 1;
}

static void
check(PyStatus status)
{
    if (PyStatus_Exception(status)) {
        Py_ExitStatusException(status);
    }
}

/* Writes into 'path' the string 'which' of 'bundle'; one that is no absolute
 * path is below 'environment'. */
static void
expand(char path[PATH_MAX], const struct bundle *bundle,
       const char *environment, int which)
{
    const char *string = (const char *) bundle + bundle->strings[which];
    if (string[0] == '/' || !string[0]) {
        snprintf(path, PATH_MAX, "%s", string);
    } else {
        snprintf(path, PATH_MAX, "%s/%s", environment, string);
    }
}

static wchar_t *
decode(const char *text)
{
    wchar_t *wide = Py_DecodeLocale(text, NULL);
    if (!wide) {
        die("a path is no text");
    }
    return wide;
}

/* Writes into 'root' the directory of our modules: the one found from
 * 'environment', if the two were moved together, else the one where they were
 * when 'bundle' was made. */
static void
find_root(char root[PATH_MAX], const struct bundle *bundle,
          const char *environment)
{
    char path[PATH_MAX], file[PATH_MAX + 64];
    expand(path, bundle, environment, ROOT);
    if (realpath(path, root)) {
        snprintf(file, sizeof file, "%s/utilities/programs.py", root);
        if (!access(file, R_OK)) {
            return;
        }
    }
    expand(root, bundle, environment, FIRST_ROOT);
}

/* Starts Python with what 'bundle' says of its place.  'root' is where our
 * modules are, 'argv' the whole command line. */
static void
start_python(const struct bundle *bundle, const char *environment,
             const char *root, int argc, char **argv)
{
    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1;
    check(Py_PreInitialize(&before));

    wchar_t *strings[N_STRINGS];
    for (int i = 0; i < N_STRINGS; i++) {
        char path[PATH_MAX];
        expand(path, bundle, environment, i);
        strings[i] = decode(i == ROOT ? root : path);
    }

    size_t n = 0;
    const char *base = (const char *) bundle;
    for (; n < bundle->n_early; n++) {
        const struct early *early = &bundle->early[n];
        frozen[n].name = base + early->name;
        frozen[n].code = (const unsigned char *) base + early->code;
        frozen[n].size = early->size;
        frozen[n].is_package = early->is_package;
    }
    PyImport_FrozenModules = frozen;

    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config.site_import = 0;
    config.write_bytecode = 1;
    config.pathconfig_warnings = 0;
    config.use_frozen_modules = 1;
    config.install_signal_handlers = 1;
    config.module_search_paths_set = 1;
    const int path[] = { STDLIB, DYNLOAD, ROOT, SITE };
    for (size_t i = 0; i < sizeof path / sizeof path[0]; i++) {
        check(PyWideStringList_Append(&config.module_search_paths,
                                      strings[path[i]]));
    }
    struct {
        wchar_t **member;
        int string;
    } settings[] = {
        { &config.home, PREFIX },
        { &config.stdlib_dir, STDLIB },
        { &config.prefix, PREFIX },
        { &config.base_prefix, PREFIX },
        { &config.exec_prefix, EXEC_PREFIX },
        { &config.base_exec_prefix, EXEC_PREFIX },
        { &config.program_name, PYTHON },
        { &config.executable, PYTHON },
        { &config.base_executable, PYTHON },
    };
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        check(PyConfig_SetString(&config, settings[i].member,
                                 strings[settings[i].string]));
    }
    check(PyConfig_SetBytesArgv(&config, argc, argv));
    check(Py_InitializeFromConfig(&config));
    PyConfig_Clear(&config);
    /* Tools are short: what they leave to the collector is not worth looking
     * for before much of it has come together (see importer.py). */
    PyGC_Disable();
}

/* Calls the importer, which runs the tool called 'name' and does not return
 * unless something went wrong.  'talk' is what a short way has left. */
static void
run(const struct bundle *bundle, const char *environment, const char *root,
    const char *name, const struct short_talk *talk)
{
    char stdlib[PATH_MAX];
    expand(stdlib, bundle, environment, STDLIB);
    PyObject *importer = PyImport_ImportModule("_quickstart");
    PyObject *memory = importer ? PyMemoryView_FromMemory(
        (char *) bundle, bundle->size, PyBUF_READ) : NULL;
    PyObject *result = memory ? PyObject_CallMethod(
        importer, "run", "sNIIss(iIIy#y#)", name, memory,
        bundle->index, bundle->index_size, root, stdlib, talk->fd, talk->xid,
        talk->n_sent, talk->data, (Py_ssize_t) talk->size, talk->input,
        (Py_ssize_t) talk->input_size) : NULL;
    if (!result) {
        PyErr_Print();          /* Exits, if the exception says so. */
    }
}

/* Prints what the tool 'name' says to --version; false if that is not known or
 * cannot be written. */
static int
print_version(const char *name)
{
    for (const struct version *version = versions; version->name; version++) {
        if (!strcmp(version->name, name)) {
            size_t size = strlen(version->text);
            signal(SIGPIPE, SIG_IGN);       /* As Python does. */
            return write(1, version->text, size) == (ssize_t) size;
        }
    }
    return 0;
}

/* Carries out a command line without Python; our modules are in 'root'.
 * Returns -1 if that is not possible, perhaps with a '*talk' to go on with,
 * else the exit code. */
static int
run_short(const char *name, int argc, char **argv, const char *root,
          struct short_talk *talk)
{
    static const struct {
        const char *name;
        int (*run)(int, char **, const char *, struct short_talk *);
    } shorts[] = {
        { "ovs-appctl", appctl_short },
        { "ovs-ofctl", ofctl_short },
    };

    if (argc == 2 && (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
        && print_version(name)) {
        return 0;
    }
    for (size_t i = 0; i < sizeof shorts / sizeof shorts[0]; i++) {
        if (!strcmp(shorts[i].name, name)) {
            return shorts[i].run(argc, argv, root, talk);
        }
    }
    return -1;
}

int
main(int argc, char *argv[])
{
    char environment[PATH_MAX], path[PATH_MAX + 64], name[PATH_MAX] = "";
    const struct bundle *bundle = NULL;

    if (find_environment(environment, name)) {
        snprintf(path, sizeof path, "%s/" LIBRARY_NAME, environment);
        bundle = bundle_open(path);
    }
    if (!bundle) {
        /* The program was copied to another place. */
        snprintf(environment, sizeof environment, "%s", BUNDLE);
        size_t length = strlen(BUNDLE) - strlen("/" LIBRARY_NAME);
        environment[length] = '\0';
        bundle = bundle_open(BUNDLE);
    }
    if (!bundle) {
        die(BUNDLE ": no bundle for this program");
    }
    if (argc < 1) {
        die("no name");
    }
    /* As a script would see it: the path that was executed. */
    const char *executed = (const char *) getauxval(AT_EXECFN);
    if (executed) {
        argv[0] = (char *) executed;
    }
    char root[PATH_MAX];
    find_root(root, bundle, environment);
    struct short_talk talk = { .fd = -1 };
    int code = run_short(name, argc, argv, root, &talk);
    if (code >= 0) {
        return code;
    }
    start_python(bundle, environment, root, argc, argv);
    run(bundle, environment, root, name, &talk);
    return 1;
}
