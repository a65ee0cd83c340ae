/** The jobs of an installation, for the type checker. */

/** What a job takes and returns. */
export interface JobType {
  input: unknown;
  result: unknown;
}

/** Jobs by name, such as `{ report: { input: { month: string }; result: { url: string } } }`. An interface or a type alias. */
export type JobTypes<Jobs> = { [Name in keyof Jobs]: JobType };

/** Jobs of any name, with inputs of any type and results that have to be checked. */
export type AnyJobs = Record<string, JobType>;

export type JobName<Jobs> = keyof Jobs & string;
export type InputOf<Jobs extends JobTypes<Jobs>, Name extends keyof Jobs> = Jobs[Name]["input"];
export type ResultOf<Jobs extends JobTypes<Jobs>, Name extends keyof Jobs> = Jobs[Name]["result"];
