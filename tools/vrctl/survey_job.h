/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A survey of a guest's devices, from the one who takes it (survey.c) to the
 * one who prints it (survey_print.c). */
#ifndef SURVEY_JOB_H
#define SURVEY_JOB_H

#include "libs/survey/advice.h"
#include "vrctl.h"

struct survey_dev {
    bool shown;                       /* was asked for */
    bool counted;                     /* its backend took part */
    struct vr_survey_figures figures; /* a copy; a driver domain's words */
    struct vr_survey_advice advice;
};

struct survey_job {
    const struct vr_record *rec;
    const struct vr_survey_costs *costs;
    bool own; /* the user's, not the project's */
    struct survey_dev dev[VR_MAX_DEVICES];
};

void survey_print(const struct survey_job *job);
void survey_json(const struct survey_job *job);
/** survey_model() - the crossover alone. */
void survey_model(const struct vr_survey_costs *costs, bool json);

#endif /* SURVEY_JOB_H */
