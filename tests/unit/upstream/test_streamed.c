/* Streamed answers: the backend waits for their owner, in every way that a conn may speak.
 *
 *                     while it is read          while it is paused            after its end, or a cancel
 *   credit, a part    counts                    reads on below half           nothing
 *   credit, too much  no more than there is     reads on                      nothing
 *   cancel            in on_body too: conn      conn closes, or the stream    nothing
 *                     closes, or the stream
 *   refusal by sink   ends it                   -                             -
 *   end of answer     ends it, whatever is      heard of when it is read      -
 *                     not given back            again
 *   backend closes    ends it                   HTTP/1.1: likewise;           the conn goes
 *                                               HTTP/2: at once
 *
 * Before the head, and in an answer that is thrown away, there is nothing to give back. */
#include "gateway/base/chance.h"
#include "tests/unit/upstream/spring.h"

static void check_and_cancel(ask_t *ask)
{
    check(ask);
    if (ask->len >= HALF)
        ask_cancel(ask);
}

/* A conn that is none the worse, where it was kept, and one more answer in any case. */
static void assert_another(spring_t *spring, bool was_kept)
{
    uint64_t opened = metric(spring->w, SHEAF_METRIC_CONNS_OPENED);
    ask_t ask;

    begin(&ask, spring, false, check);
    spring->length = MEGA;
    worker_until(spring->w, &ask.is_done);
    assert_int_equal(ask.err, SHEAF_OK);
    assert_int_equal(ask.len, MEGA);
    assert_int_equal(metric(spring->w, SHEAF_METRIC_CONNS_OPENED) - opened, was_kept ? 0 : 1);
}

static spring_t *open_up(way_t way, size_t length)
{
    spring_t *spring = spring_new(way, length);

    worker_open(spring->w);
    return spring;
}

static void a_backend_waits_for_an_owner_that_gives_nothing_back(void **state)
{
    for (way_t way = 0; way < WAY_COUNT; way++) {
        spring_t *spring = open_up(way, 64 * MEGA);
        ask_t ask;

        begin(&ask, spring, true, check);
        until_paused(spring, &ask);
        assert_in_range(ask.len, HALF, SHEAF_STREAM_WINDOW);
        assert_true(metric(spring->w, SHEAF_METRIC_BACKEND_BYTES_IN) <= SHEAF_STREAM_WINDOW + (16 << 10));
        assert_true(spring->flows[0].at < 64 * MEGA);
        give(&ask, ask.len - given); /* lets it go on, as far again */
        until_quiet(spring);
        assert_in_range(ask.len - given, HALF, SHEAF_STREAM_WINDOW);
        ask_cancel(&ask);
        assert_another(spring, spring_is_h2(spring));
        spring_end(spring);
    }
}

static void all_of_an_answer_passes_through_the_window(void **state)
{
    for (way_t way = 0; way < WAY_COUNT; way++) {
        spring_t *spring = open_up(way, 64 * MEGA);
        ask_t ask;

        begin(&ask, spring, true, check_and_give);
        worker_until(spring->w, &ask.is_done);
        assert_int_equal(ask.err, SHEAF_OK);
        assert_int_equal(ask.len, 64 * MEGA);
        assert_another(spring, true);
        spring_end(spring);
    }
}

/* What it gives back now and then is odd, and sometimes nothing, so it stops and goes on at any place. */
static void an_owner_that_gives_back_late_gets_all_of_it(void **state)
{
    for (way_t way = 0; way < WAY_COUNT; way++) {
        spring_t *spring = open_up(way, 8 * MEGA + 77);
        size_t pauses = 0;
        ask_t ask;

        begin(&ask, spring, true, check);
        for (unsigned i = 0; !ask.is_done; i++) {
            size_t owed = ask.len - given, part = i * 7919u % 150000u;

            pauses += owed >= HALF;
            give(&ask, part < owed ? part : owed);
            uv_run(&spring->w->loop, UV_RUN_NOWAIT);
        }
        assert_int_equal(ask.err, SHEAF_OK);
        assert_int_equal(ask.len, 8 * MEGA + 77);
        assert_true(pauses > 5);
        assert_another(spring, true);
        spring_end(spring);
    }
}

/* Not given back, but over: the conn rests, and hears when its backend goes. */
static void an_answer_may_end_with_more_than_half_the_window_not_given_back(void **state)
{
    static const size_t lengths[] = {1, HALF - 1, HALF, HALF + 20, HALF + 50000, SHEAF_STREAM_WINDOW};

    for (way_t way = 0; way < WAY_COUNT; way++)
        for (size_t i = 0; i < SHEAF_COUNT(lengths); i++) {
            spring_t *spring = open_up(way, lengths[i]);
            ask_t ask;

            begin(&ask, spring, true, check);
            until_quiet(spring);
            assert_true(ask.is_done || lengths[i] >= HALF);
            give(&ask, ask.len); /* nothing, where it is over */
            worker_until(spring->w, &ask.is_done);
            assert_int_equal(ask.err, SHEAF_OK);
            assert_int_equal(ask.len, lengths[i]);
            ask_credit(&ask, ask.len);
            assert_int_equal(metric(spring->w, SHEAF_METRIC_CONNS_IDLE), 1);
            spring_drop(spring, false);
            worker_until_metric(spring->w, SHEAF_METRIC_CONNS_IDLE, 0);
            spring_end(spring);
        }
}

static void one_that_fills_its_window_may_be_cancelled_from_inside(void **state)
{
    for (way_t way = 0; way < WAY_COUNT; way++) {
        spring_t *spring = open_up(way, 64 * MEGA);
        ask_t ask;

        begin(&ask, spring, true, check_and_cancel);
        worker_until_metric(spring->w, SHEAF_METRIC_EXCHANGES_FLYING, 0);
        assert_true(ask.len >= HALF && !ask.is_done);
        give(&ask, ask.len);
        assert_another(spring, spring_is_h2(spring));
        spring_end(spring);
    }
}

static void one_that_filled_its_window_may_be_refused(void **state)
{
    for (way_t way = 0; way < WAY_COUNT; way++) {
        spring_t *spring = open_up(way, 64 * MEGA);
        ask_t ask;

        begin(&ask, spring, true, check);
        until_paused(spring, &ask);
        ask.most = ask.len; /* not a byte more */
        give(&ask, ask.len);
        worker_until(spring->w, &ask.is_done);
        assert_int_equal(ask.err, SHEAF_ERR_ANSWER_TOO_LARGE);
        assert_another(spring, spring_is_h2(spring));
        spring_end(spring);
    }
}

static void what_is_given_back_beyond_what_there_is_counts_for_nothing(void **state)
{
    for (way_t way = 0; way < WAY_COUNT; way++) {
        spring_t *spring = open_up(way, 64 * MEGA);
        ask_t ask;

        begin(&ask, spring, true, check);
        ask_credit(&ask, 64 * MEGA); /* before there is anything */
        until_paused(spring, &ask);
        given = ask.len;
        ask_credit(&ask, SIZE_MAX);
        ask_credit(&ask, SIZE_MAX);
        ask_credit(&ask, 0);
        until_quiet(spring);
        assert_in_range(ask.len - given, HALF, SHEAF_STREAM_WINDOW);
        ask_cancel(&ask);
        ask_credit(&ask, 1);
        spring_end(spring);
    }
}

/* HTTP/1.1: what came before the close is to be read first. */
static void the_end_of_a_paused_conn_is_heard_of_at_latest_when_it_is_read_again(void **state)
{
    for (way_t way = 0; way < WAY_COUNT; way++) {
        for (int is_reset = 0; is_reset < 2; is_reset++) {
            spring_t *spring = open_up(way, 64 * MEGA);
            ask_t ask;

            begin(&ask, spring, true, check);
            until_paused(spring, &ask);
            spring_drop(spring, is_reset);
            until_quiet(spring);
            assert_int_equal(ask.is_done, spring_is_h2(spring));
            ask.on_body = check_and_give;
            give(&ask, ask.len - given);
            worker_until(spring->w, &ask.is_done);
            assert_int_equal(ask.err, SHEAF_ERR_RESET);
            assert_another(spring, false);
            spring_end(spring);
        }
    }
}

/* More of them than the window of the conn would hold. */
static void streams_that_wait_hold_up_no_other(void **state)
{
    enum { COUNT = 80 };

    for (way_t way = WAY_H2; way <= WAY_H2_SECURE; way++) {
        spring_t *spring = open_up(way, MEGA);
        ask_t asks[COUNT], quick;

        for (int i = 0; i < COUNT; i++)
            begin(&asks[i], spring, true, check);
        until_quiet(spring);
        for (int i = 0; i < COUNT; i++)
            assert_int_equal(asks[i].len, SHEAF_STREAM_WINDOW);
        begin(&quick, spring, true, check_and_give);
        worker_until(spring->w, &quick.is_done);
        assert_int_equal(quick.err, SHEAF_OK);
        assert_another(spring, true);
        for (int i = 1; i < COUNT; i++)
            ask_cancel(&asks[i]);
        given = 0;
        asks[0].on_body = check_and_give;
        give(&asks[0], asks[0].len);
        worker_until(spring->w, &asks[0].is_done);
        assert_int_equal(asks[0].len, MEGA);
        spring_end(spring);
    }
}

/* Over HTTP/2 the window of what is used up at once grows beyond that of what may wait. */
static void an_answer_that_is_used_up_at_once_gets_the_larger_window(void **state)
{
    spring_t *spring = open_up(WAY_H2, 8 * MEGA);
    ask_t ask;

    begin(&ask, spring, false, check);
    worker_until(spring->w, &ask.is_done);
    assert_int_equal(ask.len, 8 * MEGA);
    assert_true(spring->flows[0].window > (int64_t)SHEAF_STREAM_WINDOW);
    spring_end(spring);
}

/* --- by chance --- */

static sheaf_chance_t dice;

static size_t upto(size_t most)
{
    return (size_t)sheaf_chance_upto(&dice, most);
}

/* One step of an owner and its backend. False: they have parted. */
static bool step(spring_t *spring, ask_t *ask)
{
    size_t owed = ask->len - given;

    switch (upto(200)) {
    case 0:
        ask_cancel(ask);
        return false;
    case 1:
        ask_credit(ask, SIZE_MAX);
        given = ask->len;
        break;
    case 2:
        if (ask->has_head && !ask->is_done)
            spring_drop(spring, upto(1) == 0);
        return !ask->has_head;
    default:
        if (upto(3) == 0)
            give(ask, upto(owed));
    }
    uv_run(&spring->w->loop, UV_RUN_NOWAIT);
    return true;
}

/* It gets all, or the truth; and the next one is served. */
static void play(spring_t *spring)
{
    ask_t ask;
    bool are_together = true;

    begin(&ask, spring, true, check);
    for (int i = 0; i < 300 && are_together && !ask.is_done; i++)
        are_together = step(spring, &ask);
    ask.on_body = check_and_give;
    give(&ask, ask.len - given);
    if (are_together || ask.exchange.flight != NULL)
        worker_until(spring->w, &ask.is_done);
    if (ask.is_done && ask.err == SHEAF_OK)
        assert_int_equal(ask.len, spring->length);
    else if (ask.is_done)
        assert_true(ask.err == SHEAF_ERR_RESET && !are_together);
    spring->length = MEGA;
    begin(&ask, spring, upto(1) == 0, check_and_give);
    worker_until(spring->w, &ask.is_done);
    assert_int_equal(ask.err, SHEAF_OK);
    assert_int_equal(ask.len, MEGA);
}

static void in_whatever_order_things_happen_no_pause_is_for_ever(void **state)
{
    for (unsigned seed = 1; seed <= 300; seed++) {
        spring_t *spring;

        dice.state = seed;
        spring = open_up((way_t)(seed % WAY_COUNT), 1 + upto(900000));
        play(spring);
        spring_end(spring);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backend_waits_for_an_owner_that_gives_nothing_back),
        cmocka_unit_test(all_of_an_answer_passes_through_the_window),
        cmocka_unit_test(an_owner_that_gives_back_late_gets_all_of_it),
        cmocka_unit_test(an_answer_may_end_with_more_than_half_the_window_not_given_back),
        cmocka_unit_test(one_that_fills_its_window_may_be_cancelled_from_inside),
        cmocka_unit_test(one_that_filled_its_window_may_be_refused),
        cmocka_unit_test(what_is_given_back_beyond_what_there_is_counts_for_nothing),
        cmocka_unit_test(the_end_of_a_paused_conn_is_heard_of_at_latest_when_it_is_read_again),
        cmocka_unit_test(streams_that_wait_hold_up_no_other),
        cmocka_unit_test(an_answer_that_is_used_up_at_once_gets_the_larger_window),
        cmocka_unit_test(in_whatever_order_things_happen_no_pause_is_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
